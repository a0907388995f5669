//! Lines of a policy file: indents, aligned columns, comments.

use std::fmt::Write;

/// Longer left sides stand out of the alignment.
const WIDEST: usize = 44;

/// A line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    /// In steps of two spaces.
    pub(super) indent: usize,
    /// An empty line stands before it.
    pub(super) gap: bool,
    /// An action, or the packet of a test's case; other lines whole.
    pub(super) left: String,
    /// `when …` or `=> …`: aligned with those of the lines around.
    pub(super) right: Option<String>,
    /// With its `#`.
    pub(super) comment: Option<String>,
    /// A further line of a statement: no part of the alignment.
    pub(super) continues: bool,
}

impl Line {
    pub(super) fn new(indent: usize, left: impl Into<String>) -> Self {
        Line { indent, left: left.into(), ..Line::default() }
    }

    /// Whether it is an entry of a block: a run of these is aligned.
    fn is_entry(&self) -> bool {
        self.continues || !self.left.is_empty() && !self.left.ends_with('{') && self.left != "}"
    }

    fn width(&self) -> Option<usize> {
        let width = self.left.chars().count();
        (self.right.is_some() && width <= WIDEST).then_some(width)
    }
}

/// The text of these lines.
pub(super) fn render(lines: &[Line]) -> String {
    let mut out = String::new();
    for run in lines
        .chunk_by(|a, b| a.is_entry() && b.is_entry() && !b.gap && (a.indent == b.indent || b.continues || a.continues))
    {
        let column = run.iter().filter_map(Line::width).max().unwrap_or(0);
        for line in run {
            write_line(&mut out, line, column);
        }
    }
    out
}

fn write_line(out: &mut String, line: &Line, column: usize) {
    if line.gap && !out.is_empty() {
        out.push('\n');
    }
    let start = out.len();
    out.extend(std::iter::repeat_n("  ", line.indent));
    out.push_str(&line.left);
    if let Some(right) = &line.right {
        let width = line.width().map_or(1, |width| column - width + 1);
        _ = write!(out, "{:width$}{right}", "");
    }
    if let Some(comment) = &line.comment {
        let apart = if out.get(start..).unwrap_or_default().trim().is_empty() { "" } else { "  " };
        _ = write!(out, "{apart}{comment}");
    }
    out.push('\n');
}
