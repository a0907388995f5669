//! What is wrong with a text, and where.

use std::fmt::Write;
use std::ops::Range;

use crate::error::Error;

/// A place in a text, in bytes.
pub type Span = Range<usize>;

/// Something wrong with (or worth a warning in) a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// What is wrong: `no set "blokced"`.
    pub what: String,
    /// What was expected, or which word is near: `did you mean blocked?`.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a hint.
    pub fn new(span: Span, what: impl Into<String>) -> Self {
        Problem { span, what: what.into(), hint: None }
    }

    /// Adds what was expected, or the nearest word.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The file, line and column, the line itself, and a caret below it.
    pub fn show(&self, file: &str, text: &str) -> String {
        self.show_among(file, text, &Lines::of(text))
    }

    /// The same, where the text's lines are known: of thousands of problems each would look for them.
    pub fn show_among(&self, file: &str, text: &str, lines: &Lines) -> String {
        let start = self.span.start.min(text.len());
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let number = lines.number(start);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        let wide = text.get(start..self.span.end.min(line_start + line.len()).max(start)).unwrap_or_default();
        let mut out = String::new();
        let margin = number.to_string().len();
        let indent: String = line.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' }).collect();
        _ = writeln!(out, "{file}:{number}:{column}: {}", self.what);
        _ = writeln!(out, " {number} | {line}");
        _ = write!(out, " {:margin$} | {indent}{}", "", "^".repeat(wide.chars().count().max(1)));
        if let Some(hint) = &self.hint {
            _ = write!(out, " {hint}");
        }
        out
    }

    /// As an error of the request.
    pub fn error(&self, file: &str, text: &str) -> Error {
        Error::usage(self.show(file, text))
    }
}

/// Where the lines of a text begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<usize>);

impl Lines {
    /// Those of this text.
    pub fn of(text: &str) -> Self {
        Lines(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1).collect())
    }

    /// The line of an offset, from 1.
    pub fn number(&self, offset: usize) -> usize {
        self.0.partition_point(|begin| *begin <= offset) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::of("a\n\nbc");
        assert_eq!([0, 1, 2, 3, 4, 9].map(|offset| lines.number(offset)), [1, 1, 2, 3, 3, 3]);
        assert_eq!(Lines::of("").number(0), 1);
    }

    #[test]
    fn the_caret_stands_below_the_words() {
        let text = "pass when tcp\ndrop when udpp\n";
        let problem = Problem::new(24..28, "unknown word udpp").hint("did you mean udp?");
        let shown = "f.xdp:2:11: unknown word udpp\n 2 | drop when udpp\n   |           ^^^^ did you mean udp?";
        assert_eq!(problem.show("f.xdp", text), shown);
    }
}
