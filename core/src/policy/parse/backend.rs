//! A backend of a pool, from words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::cursor::{Cursor, decimal, near_or, quote};
use super::pool::OPTIONS;
use crate::policy::scan::STATEMENTS;
use crate::policy::{Backend, Host};
use crate::problem::{Problem, Span};

/// What a target that is a backend begins with.
const ENGINES: [&str; 3] = ["docker", "podman", "netns"];
const EXPECTED: &str = "expected ADDRESS, ADDRESS:PORT, [IPV6]:PORT, docker:NAME, podman:NAME or netns:NAME[/IFACE]";
const WORDS: [&str; 3] = ["weight", "id", "drain"];

/// A backend in words, as it stands in a pool.
///
/// # Errors
/// They are none.
pub fn one_backend(words: &str) -> Result<Backend, Problem> {
    backend(&mut Cursor::new(words, 0..words.len())).map(|(backend, _)| backend)
}

/// `HOST[:PORT] [weight N] [id N] [drain]`, and where its options begin.
pub(super) fn backend(cursor: &mut Cursor<'_>) -> Result<(Backend, Option<usize>), Problem> {
    let (word, span) = cursor.word();
    if word.is_empty() {
        return Err(cursor.expected("a backend, or hash, sessions, timeout or check"));
    }
    let (host, port) = host(word, &span)?;
    let mut backend = Backend { host, port, weight: 1, id: None, drain: false, span };
    let options = (!cursor.is_at_end()).then_some(cursor.at);
    let mut said = Vec::new();
    while !cursor.is_at_end() {
        let (word, span) = cursor.word();
        if said.contains(&word) {
            return Err(Problem::new(span, format!("{word} is said twice")));
        }
        match word {
            "weight" => {
                let weight = cursor.number("a weight", 0, u64::from(u16::MAX))?;
                backend.weight = u16::try_from(weight).unwrap_or_default();
            }
            "id" => backend.id = u32::try_from(cursor.number("the id of a backend", 0, u64::from(u32::MAX))?).ok(),
            "drain" => backend.drain = true,
            "" => return Err(cursor.expected("weight N, id N or drain")),
            _ => {
                let problem = Problem::new(span, format!("no option {} of a backend", quote(word)));
                return Err(problem.hint(near_or(word, WORDS, "expected weight N, id N or drain")));
            }
        }
        said.push(word);
    }
    Ok((backend, options))
}

/// `ADDRESS`, `ADDRESS:PORT`, `[IPV6]:PORT`, `docker:NAME[:PORT]` …
fn host(word: &str, span: &Span) -> Result<(Host, Option<u16>), Problem> {
    if let Some((engine, rest)) = word.split_once(':')
        && ENGINES.contains(&engine)
    {
        return target(engine, rest, span);
    }
    let (address, port) = match (word.parse::<IpAddr>(), word.strip_prefix('[')) {
        (Ok(address), _) => (Some(address), None),
        (_, Some(rest)) => {
            let (address, port) = rest.split_once("]:").unwrap_or_default();
            (address.parse().ok().map(|address: Ipv6Addr| address.into()), Some(port))
        }
        _ => {
            let (address, port) = word.rsplit_once(':').unwrap_or_default();
            (address.parse().ok().map(|address: Ipv4Addr| address.into()), Some(port))
        }
    };
    let Some(address) = address else { return Err(no_backend(word, span.clone())) };
    let is_host = match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    };
    if !is_host {
        return Err(Problem::new(span.clone(), format!("{address} is not the address of one host")));
    }
    Ok((Host::Address(address), port.map(|port| port_number(port, span)).transpose()?))
}

/// `NAME[/IFACE][:PORT]` behind `docker:`, `podman:` or `netns:`.
fn target(engine: &str, rest: &str, span: &Span) -> Result<(Host, Option<u16>), Problem> {
    let (name, port) = match rest.split_once(':') {
        Some((name, port)) => (name, Some(port_number(port, span)?)),
        None => (rest, None),
    };
    let mut parts = name.split('/');
    let has_names = parts.by_ref().take(2).all(|part| !part.is_empty()) && parts.next().is_none();
    if !has_names || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let problem = Problem::new(span.clone(), format!("{} names no container", quote(&format!("{engine}:{rest}"))));
        return Err(problem.hint(format!("expected {engine}:NAME[/IFACE][:PORT]")));
    }
    Ok((Host::Target(format!("{engine}:{name}")), port))
}

/// The port at the end of the word at `span`.
fn port_number(word: &str, span: &Span) -> Result<u16, Problem> {
    let port = decimal(word).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
    port.ok_or_else(|| {
        let what = if word.is_empty() { "the port is missing".into() } else { format!("{} is no port", quote(word)) };
        Problem::new(span.end - word.len()..span.end, what).hint("expected a number from 1 to 65535")
    })
}

/// Why a word is no backend.
fn no_backend(word: &str, span: Span) -> Problem {
    let problem = Problem::new(span, format!("{} is not a backend", quote(word)));
    if WORDS.contains(&word) {
        return problem.hint(format!("{word} stands behind a backend: 10.0.0.2 {word}"));
    }
    if STATEMENTS.contains(&word) {
        return problem.hint("rules stand outside of pools: is a } missing above?");
    }
    problem.hint(match word.split_once(':') {
        Some((engine, rest)) if engine.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            match near_or(engine, ENGINES, "").strip_suffix('?') {
                Some(near) => format!("{near}:{}?", quote(rest)),
                None => EXPECTED.into(),
            }
        }
        Some(_) => EXPECTED.into(),
        None => near_or(word, OPTIONS, EXPECTED),
    })
}
