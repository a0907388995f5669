//! One check of one backend.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result as Outcome};
use xdpilot_core::policy::{Check, CheckKind};

use crate::place::Place;

/// The longest answer's head that is read.
const HEAD: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(10);

/// Checks a backend once, from the namespace where its policy stands; why it is not well.
pub(super) fn once(check: &Check, place: &Place, address: IpAddr, port: u16) -> Result<(), String> {
    let end = Instant::now() + Duration::from_millis(check.timeout.into());
    let run = || -> Outcome<Result<(), String>> {
        Ok(match &check.kind {
            CheckKind::Tcp => connect(address, port, end).map(drop),
            CheckKind::Http(path) => http(address, port, path, end),
            CheckKind::Exec(command) => exec(command, address, port, end),
        })
    };
    let ended = |error: Error| Err(error.to_string());
    place.namespace.run(run).unwrap_or_else(ended)
}

/// What is left of the time.
fn left(end: Instant) -> Result<Duration, String> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err("no answer in time".to_string()) } else { Ok(left) }
}

fn words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".to_string(),
        _ => error.to_string(),
    }
}

fn connect(address: IpAddr, port: u16, end: Instant) -> Result<TcpStream, String> {
    TcpStream::connect_timeout(&SocketAddr::new(address, port), left(end)?).map_err(|error| words(&error))
}

fn http(address: IpAddr, port: u16, path: &str, end: Instant) -> Result<(), String> {
    let mut stream = connect(address, port, end)?;
    let host = SocketAddr::new(address, port);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: xdpilot\r\nConnection: close\r\n\r\n");
    stream.set_write_timeout(Some(left(end)?)).map_err(|error| words(&error))?;
    stream.write_all(request.as_bytes()).map_err(|error| words(&error))?;
    let mut head = Vec::new();
    loop {
        stream.set_read_timeout(Some(left(end)?)).map_err(|error| words(&error))?;
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).map_err(|error| words(&error))?;
        head.extend_from_slice(bytes.get(..count).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut answer = httparse::Response::new(&mut headers);
        // The status is there before the head ends; too many headers change nothing about it.
        _ = answer.parse(&head);
        match answer.code {
            Some(200..=399) => return Ok(()),
            Some(code) => return Err(format!("status {code}")),
            None if count == 0 || head.len() > HEAD => return Err("the answer is no HTTP".to_string()),
            None => {}
        }
    }
}

fn exec(command: &str, address: IpAddr, port: u16, end: Instant) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.env("XDPILOT_ADDRESS", address.to_string()).env("XDPILOT_PORT", port.to_string());
    let mut child = shell.spawn().map_err(|error| words(&error))?;
    loop {
        match child.try_wait().map_err(|error| words(&error))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(status.to_string()),
            None if left(end).is_err() => {
                // It is the shell that ends; what it started ends when it notices.
                _ = child.kill();
                _ = child.wait();
                return Err("no answer in time".to_string());
            }
            None => thread::sleep(PAUSE),
        }
    }
}
