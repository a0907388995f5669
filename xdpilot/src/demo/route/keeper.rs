//! The command that keeps the policy, and what it says.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xdpilot_core::error::{Error, Result};

use super::super::tool;

/// The running command; it ends with this value, and takes the policy off.
pub(super) struct Keeper {
    child: Child,
    said: Receiver<String>,
    words: String,
}

impl Keeper {
    /// Runs `xdpilot` with these words in a directory, where a Ctrl-C on the terminal does not reach it.
    ///
    /// Errors: it cannot be started.
    pub(super) fn start(words: &[String], directory: &Path) -> Result<Keeper> {
        let text = format!("xdpilot {}", words.join(" "));
        let failed = |error: std::io::Error| Error::failed(format!("run {text}")).kernel(error.to_string());
        let mut command = tool::command(words).map_err(failed)?;
        command.current_dir(directory).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        let (sender, said) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            thread::spawn(move || {
                BufReader::new(out).lines().map_while(std::result::Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Ok(Keeper { child, said, words: text })
    }

    /// Its next line, if it says one in time.
    ///
    /// Errors: it has ended.
    pub(super) fn says_within(&mut self, time: Duration) -> Result<Option<String>> {
        match self.said.recv_timeout(time) {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let mut why = String::new();
                if let Some(mut err) = self.child.stderr.take() {
                    // Without its words there is less to say.
                    let _ = err.read_to_string(&mut why);
                }
                Err(Error::failed(format!("{} has ended\n{}", self.words, why.trim_end())))
            }
        }
    }

    /// Ends it; the rest of what it says.
    pub(super) fn end(mut self) -> String {
        self.stop();
        self.said.iter().map(|line| line + "\n").collect()
    }

    fn stop(&mut self) {
        // Where it has ended already there is nothing to stop.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}
