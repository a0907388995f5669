//! One HTTP/1.0 GET over a Unix socket: no keep-alive, no redirects, bounded time and memory.
//!
//! Answers that have no end are read by [`super::events`].

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What an answer may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// From the request to the answer's last byte.
    pub(super) time: Duration,
    /// Head and body together, in bytes.
    pub(super) bytes: usize,
}

/// The limits for a real engine.
pub(super) const LIMITS: Limits = Limits { time: Duration::from_secs(5), bytes: 16 << 20 };

/// More header fields than any engine sends.
const MAX_HEADERS: usize = 64;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

/// Asks for `path`. Errors: the socket's own, `TimedOut`, `FileTooLarge` past the limit, `UnexpectedEof`
/// when the answer ends early, and `InvalidData` when it is not HTTP.
pub(super) fn get(stream: &mut UnixStream, path: &str, limits: Limits) -> io::Result<Response> {
    let deadline = Instant::now() + limits.time;
    stream.set_write_timeout(Some(limits.time))?;
    ask(stream, path)?;

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

/// Sends the request. Errors: as [`get`].
pub(super) fn ask(stream: &mut UnixStream, path: &str) -> io::Result<()> {
    let request =
        format!("GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(timed_out)
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
