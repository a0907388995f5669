//! How a pool finds out which backends are well, from words.

use std::ops::RangeInclusive;

use super::cursor::{Cursor, decimal, near_or, quote};
use crate::policy::print::duration_text;
use crate::policy::{Check, CheckKind};
use crate::problem::Problem;

const KINDS: &str = "tcp, http \"PATH\" or exec \"COMMAND\"";
const WORDS: [&str; 6] = ["port", "every", "timeout", "rise", "fall", "shared"];
const EXPECTED: &str = "port N, every T, timeout T, rise N, fall N or shared";
const DAY: u32 = 86_400_000;

/// `KIND [port N] [every T] [timeout T] [rise N] [fall N] [shared]`, behind `check`
pub(super) fn check(cursor: &mut Cursor<'_>) -> Result<Check, Problem> {
    let mut check = Check::new(kind(cursor)?);
    let mut said = Vec::new();
    while !cursor.is_at_end() {
        let (word, span) = cursor.peek();
        if said.contains(&word) {
            return Err(Problem::new(span, format!("{word} is said twice")));
        }
        if !WORDS.contains(&word) {
            return Err(match word {
                "" => cursor.expected(EXPECTED),
                _ => Problem::new(span, format!("no option {} of a check", quote(word))).hint(near_or(
                    word,
                    WORDS,
                    &format!("expected {EXPECTED}"),
                )),
            });
        }
        cursor.at = span.end;
        match word {
            "port" => check.port = u16::try_from(cursor.number("a port", 1, u64::from(u16::MAX))?).ok(),
            "every" => check.every = duration(cursor, 10..=DAY)?,
            "timeout" => check.timeout = duration(cursor, 1..=DAY)?,
            "rise" => check.rise = times(cursor)?,
            "shared" => check.shared = true,
            _ => check.fall = times(cursor)?,
        }
        said.push(word);
    }
    Ok(check)
}

fn kind(cursor: &mut Cursor<'_>) -> Result<CheckKind, Problem> {
    let (word, span) = cursor.peek();
    match word {
        "" => return Err(cursor.expected(KINDS)),
        "tcp" | "http" | "exec" => cursor.at = span.end,
        _ => {
            let hint = near_or(word, ["tcp", "http", "exec"], &format!("expected {KINDS}"));
            return Err(Problem::new(span, format!("no check {}", quote(word))).hint(hint));
        }
    }
    match word {
        "tcp" => Ok(CheckKind::Tcp),
        "http" => {
            let (path, span) = cursor.string("a path in quotes")?;
            if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) {
                let problem = Problem::new(span, "this is not the path of a request");
                return Err(problem.hint("expected a path that begins with / and has no spaces: \"/healthz\""));
            }
            Ok(CheckKind::Http(path))
        }
        _ => {
            let (command, span) = cursor.string("a command in quotes")?;
            if command.trim().is_empty() || command.contains('\0') {
                return Err(Problem::new(span, "this is not a command").hint("expected a command of the shell"));
            }
            Ok(CheckKind::Exec(command))
        }
    }
}

/// How many checks one after the other.
fn times(cursor: &mut Cursor<'_>) -> Result<u32, Problem> {
    let number = cursor.number("a number of checks", 1, 1_000)?;
    Ok(u32::try_from(number).unwrap_or(1))
}

/// A duration in milliseconds: `500ms`, `2s`, `5m`, `1h`.
pub(super) fn duration(cursor: &mut Cursor<'_>, range: RangeInclusive<u32>) -> Result<u32, Problem> {
    const EXPECTED: &str = "a duration: 500ms, 2s, 5m, 1h";
    let (word, span) = cursor.peek();
    if word.is_empty() {
        return Err(cursor.expected(EXPECTED));
    }
    let Some(number) = milliseconds(word) else {
        let problem = Problem::new(span, format!("{} is not a duration", quote(word)));
        return Err(problem.hint(format!("expected {EXPECTED}")));
    };
    let Some(number) = u32::try_from(number).ok().filter(|number| range.contains(number)) else {
        let problem = Problem::new(span, format!("{} is too short or too long", quote(word)));
        let (least, most) = (duration_text(*range.start()), duration_text(*range.end()));
        return Err(problem.hint(format!("expected a duration from {least} to {most}")));
    };
    cursor.at = span.end;
    Ok(number)
}

fn milliseconds(word: &str) -> Option<u64> {
    let (digits, unit) = word.split_at_checked(word.find(|c: char| !c.is_ascii_digit())?)?;
    let factor = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    decimal(digits)?.checked_mul(factor)
}
