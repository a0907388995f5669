//! `pool NAME via METHOD { … }`, from words.

use std::collections::{HashMap, HashSet};

use super::backend::backend;
use super::check::{check, duration};
use super::cursor::{Cursor, near_or, quote};
use super::method::method;
use super::{MOST_PROBLEMS, Parser, Part, action, block_end, case_end};
use crate::policy::{CheckKind, HashBy, Pool, SESSIONS, TIMEOUT};
use crate::problem::{Problem, Span};

/// The most connections that may be asked for.
const MOST_SESSIONS: u32 = 100_000_000;
/// The options of a pool.
pub(super) const OPTIONS: [&str; 4] = ["hash", "sessions", "timeout", "check"];

/// Options that were said, and where they stand.
type Said<'a> = Vec<(&'a str, Span)>;

/// The name of a pool. None goes on a rule, and none begins its filter.
pub(super) fn name<'a>(cursor: &mut Cursor<'a>) -> Result<(&'a str, Span), Problem> {
    let (word, span) = cursor.peek();
    if word == "when" {
        return Err(cursor.expected("the name of a pool"));
    }
    if ["and", "or", "not", "mask"].contains(&word) {
        return Err(Problem::new(span, format!("a pool cannot be named {word}")).hint("it has a meaning in filters"));
    }
    cursor.name("pool")
}

impl<'a> Parser<'a> {
    pub(super) fn pool(&mut self) -> Result<(), Problem> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        let mut pool = self.pool_heading(start).inspect_err(|_| self.skip_block(start))?;
        let (before, mut said) = (self.problems.len(), Said::new());
        while self.inside() {
            self.pool_statement(&mut pool, &mut said);
        }
        if self.problems.len() == before {
            self.problems.extend(unsound(&pool, &said).into_iter().take(MOST_PROBLEMS));
        }
        self.document.pools.push(pool);
        Ok(())
    }

    /// `pool NAME via METHOD {`
    fn pool_heading(&mut self, start: usize) -> Result<Pool, Problem> {
        self.cursor.take("pool");
        let (name, span) = name(&mut self.cursor)?;
        if !self.cursor.take("via") {
            return Err(self.cursor.expected("via and a method: via nat, fullnat, ipip, gue or l2"));
        }
        let method = method(&mut self.cursor)?;
        self.open(start, "{")?;
        Ok(Pool {
            name: name.to_string(),
            method,
            hash: HashBy::default(),
            sessions: SESSIONS,
            timeout: TIMEOUT,
            backends: Vec::new(),
            check: None,
            span,
        })
    }

    /// Behind a block whose heading is wrong.
    fn skip_block(&mut self, start: usize) {
        let rest = self.text.get(start..).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        self.cursor.at = match line.find('{') {
            Some(open) => block_end(self.text, start + open),
            None => start + line.len(),
        };
    }

    /// A backend or an option.
    fn pool_statement(&mut self, pool: &mut Pool, said: &mut Said<'a>) {
        self.cursor.skip_space();
        let start = self.cursor.at;
        let end = case_end(self.text, start).1.max(start + 1);
        self.cursor.at = end;
        let mut cursor = Cursor::new(self.text, start..end);
        let read = if OPTIONS.contains(&cursor.peek().0) {
            option(&mut cursor, pool, said).map(|()| None)
        } else {
            backend(&mut cursor).map(|(backend, options)| {
                pool.backends.push(backend);
                options
            })
        };
        match read {
            Err(problem) => self.problems.push(problem),
            Ok(_) if !cursor.is_at_end() => self.problems.push(cursor.expected("the end of the line")),
            Ok(split) => self.mark(Part::Rule(split), start),
        }
    }
}

fn option<'a>(cursor: &mut Cursor<'a>, pool: &mut Pool, said: &mut Said<'a>) -> Result<(), Problem> {
    let (word, span) = cursor.word();
    if said.iter().any(|(known, _)| *known == word) {
        return Err(Problem::new(span, format!("{word} is said twice")));
    }
    match word {
        "hash" => pool.hash = hash(cursor)?,
        "sessions" => pool.sessions = sessions(cursor)?,
        "timeout" => pool.timeout = timeout(cursor)?,
        _ => pool.check = Some(check(cursor)?),
    }
    said.push((word, span.start..cursor.at));
    Ok(())
}

fn hash(cursor: &mut Cursor<'_>) -> Result<HashBy, Problem> {
    let (word, span) = cursor.peek();
    let hash = match word {
        "src" => HashBy::Src,
        "5tuple" => HashBy::Tuple,
        "quic" => HashBy::Quic,
        "" => return Err(cursor.expected("src, 5tuple or quic")),
        _ => {
            let hint = near_or(word, ["src", "5tuple", "quic"], "expected src, 5tuple or quic");
            return Err(Problem::new(span, format!("{} is not something to hash", quote(word))).hint(hint));
        }
    };
    cursor.at = span.end;
    Ok(hash)
}

fn sessions(cursor: &mut Cursor<'_>) -> Result<u32, Problem> {
    let (word, span) = cursor.peek();
    if word.is_empty() {
        return Err(cursor.expected("a number of connections: sessions 100k"));
    }
    let number = action::scaled(word).and_then(|number| u32::try_from(number).ok());
    let Some(number) = number.filter(|number| *number <= MOST_SESSIONS) else {
        let problem = Problem::new(span, format!("{} is not a number of connections", quote(word)));
        return Err(problem.hint("expected a number from 1 to 100m: sessions 100k"));
    };
    cursor.at = span.end;
    Ok(number)
}

fn timeout(cursor: &mut Cursor<'_>) -> Result<u32, Problem> {
    let (word, span) = cursor.peek();
    let milliseconds = duration(cursor, 1_000..=65_535_000)?;
    if !milliseconds.is_multiple_of(1_000) {
        let problem = Problem::new(span, format!("{} has parts of a second", quote(word)));
        return Err(problem.hint("connections are forgotten after whole seconds: timeout 5m"));
    }
    Ok(milliseconds / 1_000)
}

/// What cannot be in a pool whose lines are right, one by one.
fn unsound(pool: &Pool, said: &Said<'_>) -> Vec<Problem> {
    let mut problems = repeated(pool);
    problems.extend(useless_ports(pool));
    problems.extend(missing(pool, said));
    problems
}

/// Ports of backends where packets keep theirs.
fn useless_ports(pool: &Pool) -> Vec<Problem> {
    if pool.method.translates() {
        return Vec::new();
    }
    let with_port = pool.backends.iter().filter_map(|backend| Some((backend, backend.port?)));
    let problems = with_port.map(|(backend, port)| {
        let what = format!("via {} the packet's port is not changed", pool.method.name());
        let problem = Problem::new(backend.span.clone(), what);
        problem.hint(format!("leave out :{port}, or take via nat or via fullnat"))
    });
    problems.collect()
}

/// Backends, ids and ports that have to be there.
fn missing(pool: &Pool, said: &Said<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    if pool.backends.is_empty() {
        let problem = Problem::new(pool.span.clone(), format!("pool {} has no backend", pool.name));
        problems.push(problem.hint("a backend is a line in its braces: 10.0.0.2 or 10.0.0.2:8080"));
    }
    let place = |option: &str| {
        let said = said.iter().find(|(known, _)| *known == option);
        said.map_or_else(|| pool.span.clone(), |(_, span)| span.clone())
    };
    if let Some(backend) = pool.backends.iter().find(|backend| pool.hash == HashBy::Quic && backend.id.is_none()) {
        let problem = Problem::new(place("hash"), "hash quic needs an id for each backend");
        problems.push(problem.hint(format!("{} has none: id N behind it", backend.label())));
    }
    if let Some(check) = &pool.check
        && check.port.is_none()
        && !matches!(check.kind, CheckKind::Exec(_))
        && let Some(backend) = pool.backends.iter().find(|backend| backend.port.is_none())
    {
        let problem = Problem::new(place("check"), format!("this check has no port for {}", backend.label()));
        problems.push(problem.hint("expected port N behind it: check tcp port 80"));
    }
    problems
}

/// Backends and ids that are there twice.
fn repeated(pool: &Pool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (mut known, mut ids) = (HashSet::new(), HashMap::new());
    for backend in &pool.backends {
        if !known.insert((&backend.host, backend.port)) {
            let problem = Problem::new(backend.span.clone(), format!("{} is a backend above", backend.label()));
            problems.push(problem.hint("for a greater share say weight N behind it"));
            continue;
        }
        let Some(id) = backend.id else { continue };
        if let Some(other) = ids.insert(id, backend) {
            let problem = Problem::new(backend.span.clone(), format!("id {id} is taken"));
            problems.push(problem.hint(format!("{} has it", other.label())));
        }
    }
    problems
}
