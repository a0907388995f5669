//! What an agent tells: lines of KEY=VALUE on stderr, for people and for collectors of logs.

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::when;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// Something was done.
    Info,
    /// Something does not work, and is tried again.
    Warning,
}

/// Tells something, with what it is about.
pub(super) fn log(level: Level, message: &str, about: &[(&str, &str)]) {
    eprintln!("{}", line(SystemTime::now(), level, message, about));
}

fn line(time: SystemTime, level: Level, message: &str, about: &[(&str, &str)]) -> String {
    let level = match level {
        Level::Info => "info",
        Level::Warning => "warning",
    };
    let mut line = format!("time={} level={level} msg={}", when::rfc3339(time), quoted(message));
    for (key, value) in about {
        // Writing to a string does not fail.
        _ = write!(line, " {key}={}", quoted(value));
    }
    line
}

/// A value, in quotes where it has spaces or signs that mean something.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value.to_string();
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_keys_and_values() {
        let line = line(SystemTime::UNIX_EPOCH, Level::Info, "in force", &[("policy", "edge"), ("why", "a\n\"b\"")]);
        assert_eq!(line, r#"time=1970-01-01T00:00:00Z level=info msg="in force" policy=edge why="a\n\"b\"""#);
    }
}
