//! One HTTP/1.0 request over a Unix socket: no keep-alive, no redirects, bounded time and memory.
//!
//! Answers that have no end are read by [`super::events`].

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// From the request to the answer's last byte.
    pub(crate) time: Duration,
    /// Head and body together, in bytes.
    pub(crate) bytes: usize,
}

/// The limits for a real engine.
pub(crate) const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 16 << 20 };

/// More header fields than any engine sends.
const MAX_HEADERS: usize = 64;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Header fields besides the usual ones; those without a value are left out.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a [u8],
}

impl<'a> Request<'a> {
    /// Asks for `path`.
    pub(super) fn get(path: &'a str) -> Self {
        Request { method: "GET", path, headers: &[], body: &[] }
    }
}

/// Asks for `path`. Errors: as of [`send`].
pub(crate) fn get(stream: &mut UnixStream, path: &str, limits: Limits) -> io::Result<Response> {
    send(stream, &Request::get(path), limits)
}

/// Sends a request, and takes the answer. Errors: the socket's own, `TimedOut`, `FileTooLarge` past the limit, `UnexpectedEof`
/// when the answer ends early, and `InvalidData` when it is not HTTP.
pub(crate) fn send(stream: &mut UnixStream, request: &Request<'_>, limits: Limits) -> io::Result<Response> {
    let deadline = Instant::now() + limits.time;
    stream.set_write_timeout(Some(limits.time))?;
    match ask(stream, request) {
        // Whoever refuses a request may close before all of it came: its answer tells why.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        written => written?,
    }
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(head) = parse_head(&bytes)? {
            break head;
        }
        if !read_more(stream, &mut bytes, deadline, limits.bytes)? {
            return Err(ended_early());
        }
    };
    let wanted = match head.framing {
        Framing::Length(length) => {
            let end = head.size.checked_add(length).filter(|&end| end <= limits.bytes);
            Some(end.ok_or_else(|| too_large(limits.bytes))?)
        }
        Framing::Chunked | Framing::UntilEnd => None,
    };
    while wanted.is_none_or(|end| bytes.len() < end) && read_more(stream, &mut bytes, deadline, limits.bytes)? {}
    let mut body = bytes.split_off(head.size);
    match head.framing {
        Framing::UntilEnd => {}
        Framing::Length(length) if body.len() < length => return Err(ended_early()),
        Framing::Length(length) => body.truncate(length),
        Framing::Chunked => body = join_chunks(&body)?,
    }
    Ok(Response { status: head.status, body })
}

/// Sends a request. Errors: as of [`send`].
pub(super) fn ask(stream: &mut UnixStream, request: &Request<'_>) -> io::Result<()> {
    stream.write_all(&head_of(request)).and_then(|()| stream.write_all(request.body)).map_err(timed_out)
}

fn head_of(request: &Request<'_>) -> Vec<u8> {
    let Request { method, path, headers, body } = request;
    let mut head =
        format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n");
    if !body.is_empty() {
        head += &format!("Content-Length: {}\r\n", body.len());
    }
    // A line break in a value would begin another field.
    let sound = headers.iter().filter(|(_, value)| !value.is_empty() && !value.contains(['\r', '\n', '\0']));
    sound.for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    head += "\r\n";
    head.into_bytes()
}

/// Reads what is there; false at the end of the stream.
fn read_more(stream: &mut UnixStream, bytes: &mut Vec<u8>, deadline: Instant, most: usize) -> io::Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    stream.set_read_timeout(Some(left))?;
    let mut part = [0; 16 << 10];
    let count = match stream.read(&mut part) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
        other => other.map_err(timed_out)?,
    };
    if bytes.len() + count > most {
        return Err(too_large(most));
    }
    bytes.extend_from_slice(&part[..count]);
    Ok(count > 0)
}

/// What stands before the body of an answer.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Bytes up to the body.
    pub(super) size: usize,
}

/// How the end of the body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    UntilEnd,
    Length(usize),
    Chunked,
}

/// The head, or nothing while it is incomplete.
pub(super) fn parse_head(bytes: &[u8]) -> io::Result<Option<Head>> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut fields);
    let size = match response.parse(bytes).map_err(malformed)? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(size) => size,
    };
    let status = response.code.ok_or_else(|| malformed("no status"))?;
    let mut framing = Framing::UntilEnd;
    for field in response.headers.iter() {
        let value = std::str::from_utf8(field.value).map_err(malformed)?.trim();
        if field.name.eq_ignore_ascii_case("transfer-encoding") && value.eq_ignore_ascii_case("chunked") {
            // It outranks a length, RFC 9112 section 6.3.
            framing = Framing::Chunked;
        } else if field.name.eq_ignore_ascii_case("content-length") && !matches!(framing, Framing::Chunked) {
            framing = Framing::Length(value.parse().map_err(malformed)?);
        }
    }
    Ok(Some(Head { status, framing, size }))
}

/// The body of a chunked answer, RFC 9112 section 7.1; trailers are passed over.
fn join_chunks(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(found)) => found,
            Ok(httparse::Status::Partial) => return Err(ended_early()),
            Err(_) => return Err(malformed("invalid chunk size")),
        };
        if size == 0 {
            return Ok(body);
        }
        let size = usize::try_from(size).map_err(malformed)?;
        let data = &rest[start..];
        let after = data.get(size..).ok_or_else(ended_early)?;
        body.extend_from_slice(&data[..size]);
        rest = match after {
            [b'\r', b'\n', rest @ ..] => rest,
            [] | [b'\r'] => return Err(ended_early()),
            _ => return Err(malformed("a chunk is longer than its size")),
        };
    }
}

/// A socket timeout shows as EAGAIN.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

pub(super) fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends early")
}

pub(super) fn too_large(most: usize) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, format!("the answer is longer than {most} bytes"))
}

pub(super) fn malformed(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer is not HTTP: {why}"))
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
