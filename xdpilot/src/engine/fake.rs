//! An engine for tests: a Unix socket, and an answer for each path.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

/// Listens until it is dropped.
pub(super) struct Fake {
    dir: tempfile::TempDir,
    server: Option<JoinHandle<()>>,
}

impl Fake {
    /// Serves `answers`: path to status and body; other paths get a 404 with the engines' usual words.
    pub(super) fn serve(answers: Vec<(&'static str, u16, String)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("sock")).unwrap();
        let server = thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let path = request_path(&mut stream);
                if path.is_empty() {
                    return; // the empty request of `drop`
                }
                let (status, body) = answers
                    .iter()
                    .find(|(known, ..)| *known == path)
                    .map_or((404, r#"{"message":"No such container"}"#), |(_, status, body)| (*status, body.as_str()));
                write!(stream, "HTTP/1.0 {status} Words\r\nContent-Type: application/json\r\n\r\n{body}").unwrap();
            }
        });
        Fake { dir, server: Some(server) }
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        stop(&self.socket());
        if let Some(server) = self.server.take() {
            server.join().unwrap();
        }
    }
}

fn stop(socket: &Path) {
    drop(UnixStream::connect(socket).unwrap());
}

fn request_path(stream: &mut UnixStream) -> String {
    let mut request = Vec::new();
    let mut part = [0; 512];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part).unwrap() {
            0 => break,
            count => request.extend_from_slice(&part[..count]),
        }
    }
    String::from_utf8(request).unwrap().split(' ').nth(1).unwrap_or_default().to_owned()
}
