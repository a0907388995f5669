//! A container as its users and xdpilot see it.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use xdpilot::engine::Engine;

use super::engine::TestContainer;
use super::image;

/// Long enough for an answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// So long nothing came: it is lost.
const LOST: Duration = Duration::from_millis(500);
/// What curl ends with when the time is over.
const CURL_TIMEOUT: i32 = 28;

impl TestContainer {
    /// The words that name it as a target.
    pub(crate) fn target(&self) -> String {
        format!("{}:{}", self.engine.engine, self.name)
    }

    /// Runs the built command, which finds the engine as it would on a user's machine.
    pub(crate) fn xdpilot(&self, words: &[&str]) -> Output {
        let variable = match self.engine.engine {
            Engine::Docker => "DOCKER_HOST",
            Engine::Podman => "CONTAINER_HOST",
        };
        let host = format!("unix://{}", self.engine.socket.display());
        Command::new(env!("CARGO_BIN_EXE_xdpilot")).args(words).env(variable, host).output().unwrap()
    }

    /// Runs the command with `--json` and `--on` this container; it must succeed.
    #[track_caller]
    pub(crate) fn json(&self, words: &[&str]) -> Value {
        let output = self.xdpilot(&[words, &["--on", &self.target(), "--json"]].concat());
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Loads an example and returns what the command says about it.
    #[track_caller]
    pub(crate) fn load(&self, example: &str, more: &[&str]) -> Value {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
        let answer = self.json(&[&["load", path.to_str().unwrap()], more].concat());
        assert_eq!(answer["attached"].as_array().unwrap().len(), 1, "{answer}");
        answer["attached"][0].clone()
    }

    fn curl(&self, seconds: &str) -> Output {
        let url = format!("http://{}/", self.address());
        Command::new("curl").args(["-sS", "--noproxy", "*", "--max-time", seconds, &url]).output().unwrap()
    }

    /// The page comes.
    #[track_caller]
    pub(crate) fn assert_page(&self) {
        let output = self.curl("5");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stdout)), (Some(0), image::PAGE), "{said}");
    }

    /// The page does not come.
    #[track_caller]
    pub(crate) fn assert_no_page(&self) {
        assert_eq!(self.curl("1").status.code(), Some(CURL_TIMEOUT));
    }

    /// Whether a datagram comes back within this time.
    fn echoes_within(&self, time: Duration) -> bool {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(time)).unwrap();
        socket.send_to(b"hello", (self.address().as_str(), 7)).unwrap();
        let mut bytes = [0; 16];
        socket.recv(&mut bytes).is_ok_and(|size| &bytes[..size] == b"hello")
    }

    /// A datagram comes back.
    #[track_caller]
    pub(crate) fn assert_echo(&self) {
        assert!(self.echoes_within(PATIENCE));
    }

    /// A datagram does not come back.
    #[track_caller]
    pub(crate) fn assert_no_echo(&self) {
        assert!(!self.echoes_within(LOST));
    }

    /// The process id of its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.engine.asked().find(&self.name).unwrap().pid
    }

    /// The file systems that it sees, as words of mountinfo (proc_pid_mountinfo(5)).
    pub(crate) fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.pid())).unwrap();
        let kind = |line: &str| line.split_once(" - ").unwrap().1.split(' ').next().unwrap().to_owned();
        table.lines().map(kind).collect()
    }

    /// The interfaces that `status` lists with these words, where programs are.
    #[track_caller]
    pub(crate) fn status(&self, more: &[&str]) -> Vec<Value> {
        let status = self.json(&[&["status"], more].concat());
        status["interfaces"].as_array().unwrap().clone()
    }

    /// The packets that the only program there has dropped. Counting is seen a moment after the packet is.
    #[track_caller]
    pub(crate) fn await_drops(&self, more: &[&str]) -> u64 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let interfaces = self.status(more);
            let verdicts = interfaces[0]["programs"][0]["verdicts"].as_array().unwrap();
            let drop = verdicts.iter().find(|one| one["verdict"] == "drop").unwrap();
            let packets = drop["packets"].as_u64().unwrap();
            if packets > 0 || Instant::now() > deadline {
                return packets;
            }
        }
    }
}
