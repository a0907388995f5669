//! curl, and what it was answered.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A request that is not sent yet.
#[derive(Clone)]
pub(crate) struct Curl {
    words: Vec<String>,
    base: String,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Curl {
    pub(crate) fn unix(socket: &Path) -> Curl {
        Curl { words: vec!["--unix-socket".into(), socket.to_str().unwrap().into()], base: "http://agent".into() }
    }

    pub(crate) fn tls(port: u16, cert: &Path) -> Curl {
        let words = vec!["--cacert".into(), cert.to_str().unwrap().into()];
        Curl { words, base: format!("https://localhost:{port}") }
    }

    pub(crate) fn with(mut self, words: &[&str]) -> Curl {
        self.words.extend(words.iter().map(|word| (*word).to_string()));
        self
    }

    pub(crate) fn header(self, field: &str) -> Curl {
        self.with(&["-H", field])
    }

    pub(crate) fn token(self, token: &str) -> Curl {
        self.header(&format!("Authorization: Bearer {token}"))
    }

    pub(crate) fn put(self, text: &str) -> Curl {
        self.with(&["-X", "PUT", "--data-binary", text])
    }

    pub(crate) fn post(self, text: &str) -> Curl {
        self.with(&["-X", "POST", "--data-binary", text])
    }

    pub(crate) fn method(self, method: &str) -> Curl {
        self.with(&["-X", method])
    }

    fn command(&self, path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sS", "-i", "--max-time", "60"]).args(&self.words).arg(format!("{}{path}", self.base));
        command
    }

    #[track_caller]
    pub(crate) fn ask(&self, path: &str) -> Answer {
        let output = self.command(path).output().unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        Answer::of(&String::from_utf8(output.stdout).unwrap())
    }

    /// Goes on to read; what comes is at the child's standard output.
    pub(crate) fn stream(&self, path: &str) -> Child {
        let mut command = Command::new("curl");
        command.args(["-sSN"]).args(&self.words).arg(format!("{}{path}", self.base));
        command.stdout(Stdio::piped()).spawn().unwrap()
    }
}

impl Answer {
    fn of(text: &str) -> Answer {
        let (mut head, mut body) = text.split_once("\r\n\r\n").unwrap();
        // curl asks whether a long body is welcome.
        while head.starts_with("HTTP/1.1 100") {
            (head, body) = body.split_once("\r\n\r\n").unwrap();
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_string() }
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:#?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// The parts of the error that was answered with this status.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:#?}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert!(body["error"]["what"].is_string(), "{body}");
        let keys: Vec<&String> = body["error"].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["cause", "kernel", "mend", "what"], "{body}");
        body["error"].to_string()
    }
}
