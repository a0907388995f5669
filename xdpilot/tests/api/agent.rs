//! An agent of one test.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Ran, XDPILOT, done, xdpilot};
use crate::curl::{Answer, Curl};

const PATIENCE: Duration = Duration::from_secs(30);

/// An agent on an embedded store in a folder of its own. It ends with this value.
pub(crate) struct Agent {
    pub(crate) state: TempDir,
    child: Child,
}

impl Agent {
    pub(crate) fn start() -> Agent {
        Agent::start_in(tempfile::Builder::new().prefix("xpa").tempdir().unwrap(), &[])
    }

    pub(crate) fn start_in(state: TempDir, more: &[&str]) -> Agent {
        let child = command(state.path()).args(more).spawn().unwrap();
        let mut agent = Agent { state, child };
        agent.await_socket();
        agent
    }

    /// The agent listens when it is ready.
    fn await_socket(&mut self) {
        let end = Instant::now() + PATIENCE;
        while UnixStream::connect(self.socket()).is_err() {
            let over = self.child.try_wait().unwrap();
            assert!(over.is_none() && Instant::now() < end, "the agent does not listen:\n{}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.state.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("agent.sock")
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// What it told.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn assert_alive(&mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "the agent is gone:\n{}", self.log());
    }

    /// Ends it, and gives back its folder.
    pub(crate) fn end(mut self, signal: Signal) -> TempDir {
        kill(self.pid(), signal).unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.state, tempfile::tempdir().unwrap())
    }

    /// The way to it over its socket.
    pub(crate) fn curl(&self) -> Curl {
        Curl::unix(&self.socket())
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.curl().ask(path).ok()
    }

    #[track_caller]
    pub(crate) fn put(&self, document: &str, text: &str) -> Value {
        self.curl().put(text).ask(&format!("/v1/documents/{document}")).ok()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.curl().post(&body.to_string()).ask(path)
    }

    /// A verb of the command that is about its store.
    pub(crate) fn verb(&self, words: &[&str]) -> Ran {
        xdpilot(&[words, &["--state", self.state.path().to_str().unwrap()]].concat())
    }

    /// Waits until the node has what was stored.
    #[track_caller]
    pub(crate) fn settle(&self) {
        done(&["wait", "--timeout", "30", "--state", self.state.path().to_str().unwrap()]);
    }

    /// Waits until its status is so.
    #[track_caller]
    pub(crate) fn await_status(&self, is: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.get("/v1/status");
            if is(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status:#}\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// The command that begins an agent; what it tells goes to `log` in its folder.
pub(crate) fn command(state: &Path) -> Command {
    let node = state.file_name().unwrap().to_str().unwrap().trim_start_matches('.');
    let mut command = Command::new(XDPILOT);
    command.args(["agent", "--state", state.to_str().unwrap(), "--node", node]);
    command.stdin(Stdio::null()).stderr(File::create(state.join("log")).unwrap());
    command
}
