//! What an engine tells of its containers while it happens: `GET /events`, a line of JSON for each event.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime};

use xdpilot_core::error::Result;
use xdpilot_kernel::watch::{readable, readable_within};

use super::Client;
use super::api::{self, plain};
use super::http::{Framing, Response, ended_early, malformed, parse_head, too_large};

/// `{"type":["container"],"event":["start","die","died","rename"]}`, as a URL has it. Podman takes its own word only.
const FILTERS: &str = "%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22start%22%2C%22die%22%2C%22died%22%2C%22rename%22%5D%7D";
/// The longest line, and the longest head, in bytes. All labels of a container are in a line.
const LONGEST: usize = 1 << 20;
/// How long an engine that does not answer is left alone: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its name; after a renaming the new one.
    pub name: String,
    /// Its full id, hexadecimal.
    pub id: String,
    /// What happened.
    pub kind: Kind,
}

/// What may happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It runs: its network is there.
    Start,
    /// Its first process has ended.
    Die,
    /// It has another name.
    Rename {
        /// The one before, where the engine tells it.
        before: Option<String>,
    },
}

/// What is told by [`follow`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The engine is heard from now on: anything may have happened before.
    Listening,
    /// Something happened.
    Event(Event),
    /// The engine is not heard any more, and why. It is tried again, until [`Told::Listening`].
    Away(xdpilot_core::error::Error),
}

/// Tells what happens to the containers of an engine until `stop` can be read, or is closed at its other end.
///
/// An engine that is away is tried at least twice a second.
pub fn follow(connect: impl Fn() -> Result<Client>, stop: BorrowedFd<'_>, mut tell: impl FnMut(Told)) {
    let (mut away, mut pause) = (false, PAUSES.0);
    loop {
        let mut heard = |told: Told| {
            (away, pause) = (false, PAUSES.0);
            tell(told);
        };
        match connect().and_then(|client| listen(&client, stop, &mut heard)) {
            Ok(()) => return,
            Err(error) if !away => tell(Told::Away(error)),
            Err(_) => {}
        }
        away = true;
        if readable_within(&[stop], pause).is_ok_and(|ready| ready.contains(&true)) {
            return;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Hears one connection to its end, which is an error, or until it is stopped.
fn listen(client: &Client, stop: BorrowedFd<'_>, tell: &mut impl FnMut(Told)) -> Result<()> {
    // An engine may answer before it listens itself; what happens in between it tells by this.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let path = format!("/events?since={}.{:09}&filters={FILTERS}", now.as_secs(), now.subsec_nanos());
    let failed = |error: io::Error| client.unanswered("/events", &error);
    let mut stream = client.ask(&path)?;
    stream.set_nonblocking(true).map_err(failed)?;
    let (mut answer, mut begun) = (Answer::default(), false);
    loop {
        if readable(&[stream.as_fd(), stop])?[1] {
            return Ok(());
        }
        let (lines, ended) = answer.read(&mut stream).map_err(failed)?;
        match answer.status {
            Some(200) if !begun => {
                begun = true;
                tell(Told::Listening);
            }
            Some(200) | None => {}
            Some(status) => return Err(client.refused("/events", &Response { status, body: lines.join(&b'\n') })),
        }
        lines.iter().filter_map(|line| read_event(line)).for_each(|event| tell(Told::Event(event)));
        if ended {
            return Err(failed(ended_early()));
        }
    }
}

/// The event of a line; none where it is about something else.
fn read_event(line: &[u8]) -> Option<Event> {
    let api::Event { action, actor } = serde_json::from_slice(line).ok()?;
    let kind = match action.as_str() {
        "start" => Kind::Start,
        // Podman has both words.
        "die" | "died" => Kind::Die,
        "rename" => Kind::Rename { before: actor.attributes.old_name.map(|name| plain(&name).to_owned()) },
        _ => return None,
    };
    Some(Event { name: plain(&actor.attributes.name).to_owned(), id: actor.id, kind })
}

/// An answer as far as it has come.
#[derive(Debug, Default)]
struct Answer {
    /// Its status, once the head is there.
    status: Option<u16>,
    chunked: bool,
    /// Bytes of the head, or of chunks, that are not understood yet.
    raw: Vec<u8>,
    /// The beginning of the next line.
    line: Vec<u8>,
}

impl Answer {
    /// The lines that are there now (of a refusal: all that came, though it be no line), and whether the answer has ended.
    fn read(&mut self, stream: &mut UnixStream) -> io::Result<(Vec<Vec<u8>>, bool)> {
        let mut lines = Vec::new();
        let mut part = [0; 16 << 10];
        let ended = loop {
            match stream.read(&mut part) {
                Ok(0) => break true,
                Ok(count) => lines.extend(self.take(&part[..count])?),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break false,
                Err(error) => return Err(error),
            }
        };
        if self.status.is_some_and(|status| status != 200) {
            lines.push(std::mem::take(&mut self.line));
        }
        Ok((lines, ended))
    }

    /// Takes bytes; the lines that are whole by that.
    fn take(&mut self, bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        self.raw.extend_from_slice(bytes);
        if self.status.is_none() {
            let Some(head) = parse_head(&self.raw)? else { return self.bounded(Vec::new()) };
            (self.status, self.chunked) = (Some(head.status), head.framing == Framing::Chunked);
            self.raw.drain(..head.size);
        }
        let body = if self.chunked { take_chunks(&mut self.raw)? } else { std::mem::take(&mut self.raw) };
        let mut lines = Vec::new();
        let mut parts = body.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            self.line.extend_from_slice(part);
            if parts.peek().is_some() {
                lines.push(std::mem::take(&mut self.line));
            }
        }
        self.bounded(lines)
    }

    /// The lines, unless what is kept is too long.
    fn bounded(&self, lines: Vec<Vec<u8>>) -> io::Result<Vec<Vec<u8>>> {
        let longest = self.raw.len().max(self.line.len());
        if longest > LONGEST { Err(too_large(LONGEST)) } else { Ok(lines) }
    }
}

/// Takes the chunks that are whole, RFC 9112 section 7.1.
fn take_chunks(raw: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let httparse::Status::Complete((start, size)) =
        httparse::parse_chunk_size(&raw[at..]).map_err(|_| malformed("invalid chunk size"))?
    {
        let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST).ok_or_else(|| too_large(LONGEST))?;
        let data = at + start;
        match raw.get(data + size..data + size + 2) {
            Some(b"\r\n") => {}
            Some(_) => return Err(malformed("a chunk is longer than its size")),
            None => break,
        }
        body.extend_from_slice(&raw[data..data + size]);
        at = data + size + 2;
    }
    raw.drain(..at);
    Ok(body)
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
