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
        let start = self.span.start.min(text.len());
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let number = before.matches('\n').count() + 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_words() {
        let text = "pass when tcp\ndrop when udpp\n";
        let problem = Problem::new(24..28, "unknown word udpp").hint("did you mean udp?");
        let shown = "f.xdp:2:11: unknown word udpp\n 2 | drop when udpp\n   |           ^^^^ did you mean udp?";
        assert_eq!(problem.show("f.xdp", text), shown);
    }
}
