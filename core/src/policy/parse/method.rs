//! How packets reach the backends of a pool, from words.

use std::net::IpAddr;

use super::cursor::{Cursor, near_or, quote};
use crate::filter;
use crate::policy::element::bits_behind;
use crate::policy::{Element, GUE_PORT, Method, Source};
use crate::problem::Problem;

const METHODS: [&str; 5] = ["nat", "fullnat", "ipip", "gue", "l2"];
const EXPECTED: &str = "expected a method: nat, fullnat from ADDRESS, ipip, gue or l2";

/// A method in words, as it is printed.
///
/// # Errors
/// They are none.
pub fn one_method(words: &str) -> Result<Method, Problem> {
    method(&mut Cursor::new(words, 0..words.len()))
}

/// `nat`, `fullnat from ADDRESS,…`, `ipip [from PREFIX,…]`, `gue [port N] [from PREFIX,…]` or `l2`
pub(super) fn method(cursor: &mut Cursor<'_>) -> Result<Method, Problem> {
    let (word, span) = cursor.peek();
    if !METHODS.contains(&word) {
        return Err(match word {
            "" => cursor.expected("a method: nat, fullnat from ADDRESS, ipip, gue or l2"),
            _ => Problem::new(span, format!("no method {}", quote(word))).hint(near_or(word, METHODS, EXPECTED)),
        });
    }
    cursor.at = span.end;
    let (mut port, mut from) = (None, Vec::new());
    loop {
        let (option, at) = cursor.peek();
        match (option, word) {
            ("port", "gue") if port.is_some() => return Err(Problem::new(at, "port is said twice")),
            ("from", _) if !from.is_empty() => return Err(Problem::new(at, "from is said twice")),
            ("from", "nat" | "l2") => {
                let problem = Problem::new(at, format!("via {word} the client's address stays"));
                return Err(problem.hint("from is for fullnat, ipip and gue"));
            }
            ("port", "gue") => {
                cursor.at = at.end;
                let number = cursor.number("a port", 1, u64::from(u16::MAX))?;
                port = u16::try_from(number).ok();
            }
            ("from", _) => {
                cursor.at = at.end;
                from = sources(cursor, word != "fullnat")?;
            }
            _ => break,
        }
    }
    Ok(match word {
        "nat" => Method::Nat,
        "l2" => Method::L2,
        "ipip" => Method::Ipip(from),
        "gue" => Method::Gue { port: port.unwrap_or(GUE_PORT), from },
        _ if from.is_empty() => {
            let problem = Problem::new(span, "fullnat needs an address that packets come from");
            return Err(problem.hint("expected from ADDRESS behind it: via fullnat from 192.0.2.1"));
        }
        _ => Method::FullNat(from),
    })
}

fn sources(cursor: &mut Cursor<'_>, prefixes: bool) -> Result<Vec<Source>, Problem> {
    let mut sources = Vec::new();
    loop {
        let (word, span) = cursor.peek();
        let source = source(cursor, prefixes)?;
        if sources.contains(&source) {
            return Err(Problem::new(span, format!("{word} is said twice")));
        }
        sources.push(source);
        if !cursor.sign(',') {
            return Ok(sources);
        }
    }
}

fn source(cursor: &mut Cursor<'_>, prefixes: bool) -> Result<Source, Problem> {
    const FORMS: &str = "expected an address or a prefix: 192.0.2.1, 10.99.0.0/16";
    let (word, span) = cursor.peek();
    if word.is_empty() {
        return Err(cursor.expected("an address"));
    }
    let source = match filter::element(word) {
        Some(Element::V4(address, length)) => Source { address: IpAddr::V4(address), length },
        Some(Element::V6(address, length)) => Source { address: IpAddr::V6(address), length },
        _ => {
            let problem = || Problem::new(span.clone(), format!("{} is not an address", quote(word)));
            return Err(bits_behind(word, span.clone()).unwrap_or_else(|| problem().hint(FORMS)));
        }
    };
    if !prefixes && word.contains('/') {
        let problem = Problem::new(span, "fullnat takes single addresses");
        return Err(problem.hint("replies come back to them; prefixes are for ipip and gue"));
    }
    cursor.at = span.end;
    Ok(source)
}
