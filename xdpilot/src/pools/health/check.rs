//! One check of one backend.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::Error;
use xdpilot_core::policy::{Check, CheckKind};

use super::carrier::Carried;
use crate::place::Place;

/// The longest answer's head that is read.
const HEAD: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(10);

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) enum Asked<'a> {
    /// The backend, at its own address.
    Backend(IpAddr),
    /// The backend, at each address of the service that it has part in.
    Services(Vec<Carried<'a>>),
}

/// Checks a backend once, from the namespace where its policy stands; why it is not well.
pub(super) fn once(check: &Check, place: &Place, asked: &Asked<'_>, port: u16) -> Result<(), String> {
    let end = Instant::now() + Duration::from_millis(check.timeout.into());
    match asked {
        Asked::Backend(address) => {
            let host = SocketAddr::new(*address, port);
            let ended = |error: Error| Err(error.to_string());
            place.namespace.run(|| Ok(directly(check, host, end))).unwrap_or_else(ended)
        }
        Asked::Services(all) => all.iter().try_for_each(|carried| {
            let host = SocketAddr::new(carried.service, port);
            let connection = carried.connect(host, end);
            let answered = connection.and_then(|connection| answers(check, &connection.stream, host, end));
            answered.map_err(|why| format!("at {host}: {why}"))
        }),
    }
}

/// The same, to this very address, from the calling thread's namespace.
fn directly(check: &Check, host: SocketAddr, end: Instant) -> Result<(), String> {
    if let CheckKind::Exec(command) = &check.kind {
        return exec(command, host, end);
    }
    let stream = TcpStream::connect_timeout(&host, left(end)?).map_err(|error| words(&error))?;
    answers(check, &stream, host, end)
}

/// Whether the connection that was opened is all that is asked for, or a request on it is answered.
fn answers(check: &Check, stream: &TcpStream, host: SocketAddr, end: Instant) -> Result<(), String> {
    match &check.kind {
        CheckKind::Http(path) => http(stream, host, path, end),
        CheckKind::Tcp | CheckKind::Exec(_) => Ok(()),
    }
}

/// What is left of the time.
pub(super) fn left(end: Instant) -> Result<Duration, String> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err("no answer in time".to_string()) } else { Ok(left) }
}

pub(super) fn words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "no answer in time".to_string(),
        _ => error.to_string(),
    }
}

fn http(mut stream: &TcpStream, host: SocketAddr, path: &str, end: Instant) -> Result<(), String> {
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

fn exec(command: &str, host: SocketAddr, end: Instant) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.env("XDPILOT_ADDRESS", host.ip().to_string()).env("XDPILOT_PORT", host.port().to_string());
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
