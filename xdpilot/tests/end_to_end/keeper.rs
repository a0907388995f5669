//! A command that keeps a policy (`load --keep`), and what it says.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::XDPILOT;
use crate::net::PATIENCE;

/// The running command; it is killed with this value, where it has not ended yet.
pub(crate) struct Keeper {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Keeper {
    /// Keeps the policy of this file on a target, and waits until it stands there.
    #[track_caller]
    pub(crate) fn start(policy: &str, target: &str) -> Keeper {
        let mut command = Command::new(XDPILOT);
        command.args(["load", policy, "--on", target, "--keep"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (lines(child.stdout.take().unwrap()), lines(child.stderr.take().unwrap()));
        let keeper = Keeper { child, out, err };
        let said = keeper.says();
        assert!(said.contains("attached"), "{said}");
        keeper
    }

    /// Its next line.
    #[track_caller]
    pub(crate) fn says(&self) -> String {
        line(&self.out)
    }

    /// Its next line on standard error.
    #[track_caller]
    pub(crate) fn complains(&self) -> String {
        line(&self.err)
    }

    /// Sends a signal, on which it must end well; what it says then.
    #[track_caller]
    pub(crate) fn end(mut self, signal: Signal) -> String {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let said = self.says();
        assert!(self.child.wait().unwrap().success());
        said
    }
}

/// The lines that come out of a pipe. A line that never comes must fail the test, not hang it.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

#[track_caller]
fn line(from: &Receiver<String>) -> String {
    from.recv_timeout(PATIENCE).unwrap()
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // It has ended already, but where a test failed.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
