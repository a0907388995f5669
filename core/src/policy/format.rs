//! What `xdpilot fmt` does: spaces, indents and columns, with the author's words, line breaks and comments.

use std::ops::Range;

use super::element;
use super::layout::{Line, render};
use super::parse::{Mark, Part, parse_marked};
use super::scan::{Source, joined, spaced, words};
use crate::packet;
use crate::problem::Problem;

/// Formats a policy file.
///
/// Words, line breaks within a rule or set, and comments stay; a policy's rules get a line each; of several empty lines
/// one stays. The result means the same, and is formatted to itself.
pub fn format(text: &str) -> Result<String, Vec<Problem>> {
    let source = Source::new(text);
    let (_, marks) = parse_marked(text, &source)?;
    let mut writer = Writer { text, source: &source, lines: Vec::new(), comments: 0, at: 0, indent: 0 };
    for mark in &marks {
        writer.mark(mark);
    }
    writer.comments_before(text.len());
    Ok(render(&writer.lines))
}

struct Writer<'a> {
    text: &'a str,
    source: &'a Source,
    lines: Vec<Line>,
    /// How many comments are written.
    comments: usize,
    /// Up to here the text is written.
    at: usize,
    indent: usize,
}

impl Writer<'_> {
    fn mark(&mut self, mark: &Mark) {
        self.comments_before(mark.span.start);
        if mark.part == Part::Close {
            self.indent = self.indent.saturating_sub(1);
        }
        let gap = self.gap(mark.span.start) && mark.part != Part::Close;
        let first = self.lines.len();
        match mark.part {
            Part::Open | Part::Close => self.heading(mark),
            Part::Set(Some(open)) if self.is_broken(&mark.span) => self.broken_set(mark, open),
            Part::Set(open) => self.set(mark, open),
            Part::Rule(split) if self.is_broken(&mark.span) => self.broken_rule(mark, split),
            Part::Rule(split) => self.rule(mark, split),
            Part::Case(arrow) => self.case(mark, arrow),
        }
        if let Some(line) = self.lines.get_mut(first) {
            line.gap = gap;
        }
        self.at = mark.span.end;
        if mark.part == Part::Open {
            self.indent += 1;
        }
    }

    fn slice(&self, span: Range<usize>) -> &str {
        self.source.text.get(span).unwrap_or_default()
    }

    fn is_broken(&self, span: &Range<usize>) -> bool {
        self.slice(span.clone()).contains('\n')
    }

    /// Whether an empty line stands before `start`; never at the beginning of a block.
    fn gap(&self, start: usize) -> bool {
        let begins = self.lines.last().is_none_or(|line| line.left.ends_with('{'));
        !begins && self.slice(self.at..start).matches('\n').nth(1).is_some()
    }

    /// The next comment, if it begins before `end`.
    fn comment(&mut self, end: usize) -> Option<(Range<usize>, String)> {
        let comment = self.source.comments.get(self.comments).filter(|comment| comment.start < end)?.clone();
        self.comments += 1;
        let text = self.text.get(comment.clone()).unwrap_or_default().trim_end().to_string();
        Some((comment, text))
    }

    /// Writes the comments before `end`: behind the line before them, or on lines of their own.
    fn comments_before(&mut self, end: usize) {
        while let Some((span, text)) = self.comment(end) {
            let beside = !self.slice(self.at..span.start).contains('\n');
            match self.lines.last_mut().filter(|line| beside && line.comment.is_none()) {
                Some(line) => line.comment = Some(text),
                None => {
                    let gap = self.gap(span.start);
                    self.lines.push(Line { gap, comment: Some(text), ..Line::new(self.indent, "") });
                }
            }
            self.at = span.end;
        }
    }

    /// Comments within what becomes one line stand before it.
    fn inner_comments(&mut self, end: usize) {
        while let Some((_, text)) = self.comment(end) {
            self.lines.push(Line { comment: Some(text), ..Line::new(self.indent, "") });
        }
    }

    fn heading(&mut self, mark: &Mark) {
        self.inner_comments(mark.span.end);
        let text = joined(self.slice(mark.span.clone()));
        self.lines.push(Line::new(self.indent, text));
    }

    fn rule(&mut self, mark: &Mark, split: Option<usize>) {
        let left = joined(self.slice(mark.span.start..split.unwrap_or(mark.span.end)));
        let right = split.map(|at| spaced(self.slice(at..mark.span.end), &mut 0));
        self.lines.push(Line { right, ..Line::new(self.indent, left) });
    }

    fn case(&mut self, mark: &Mark, arrow: usize) {
        let left = packet::spaced(self.slice(mark.span.start..arrow));
        let right = Some(format!("=> {}", outcome(self.slice(arrow + 2..mark.span.end))));
        self.lines.push(Line { right, ..Line::new(self.indent, left) });
    }

    fn set(&mut self, mark: &Mark, open: Option<usize>) {
        self.inner_comments(mark.span.end);
        let Some(open) = open else {
            let text = joined(self.slice(mark.span.clone()));
            self.lines.push(Line::new(self.indent, text));
            return;
        };
        let head = joined(self.slice(mark.span.start..open));
        let elements = elements(self.slice(open + 1..mark.span.end - 1));
        let list = if elements.is_empty() { "{}".to_string() } else { format!("{{ {} }}", elements.join(", ")) };
        self.lines.push(Line::new(self.indent, format!("{head} {list}")));
    }

    /// A set over several lines: those of its elements stay together that are.
    fn broken_set(&mut self, mark: &Mark, open: usize) {
        let source = self.source;
        let head = joined(self.slice(mark.span.start..open));
        self.inner_comments(open);
        self.lines.push(Line::new(self.indent, format!("{head} {{")));
        self.at = open + 1;
        self.indent += 1;
        let close = mark.span.end - 1;
        let mut start = open + 1;
        for line in source.text.get(open + 1..close).unwrap_or_default().split('\n') {
            let elements = elements(line);
            let end = start + line.len();
            if let Some((at, _)) = words(line, is_separator).next() {
                let gap = self.gap(start + at);
                self.lines.push(Line { gap, ..Line::new(self.indent, format!("{},", elements.join(", "))) });
                self.at = end - (line.len() - line.trim_end().len());
            }
            self.comments_before(end.saturating_add(1).min(close));
            start = end + 1;
        }
        self.indent -= 1;
        self.lines.push(Line::new(self.indent, "}"));
    }

    /// A rule over several lines.
    fn broken_rule(&mut self, mark: &Mark, split: Option<usize>) {
        let source = self.source;
        let mut start = mark.span.start;
        let mut braces = 0;
        let indent = self.indent;
        for line in source.text.get(mark.span.clone()).unwrap_or_default().split('\n') {
            let end = start + line.len();
            let is_first = start == mark.span.start;
            let at = split.unwrap_or(mark.span.end).clamp(start, end);
            let action = joined(source.text.get(start..at).unwrap_or_default());
            let when = spaced(source.text.get(at..end).unwrap_or_default(), &mut braces);
            let (left, right) = match (action.is_empty(), when.is_empty()) {
                (false, false) if is_first => (action, Some(when)),
                (false, false) => (format!("{action} {when}"), None),
                _ => (action + &when, None),
            };
            self.indent = if is_first { indent } else { indent + 2 };
            if !left.is_empty() {
                self.lines.push(Line { right, continues: !is_first, ..Line::new(self.indent, left) });
                self.at = end - (line.len() - line.trim_end().len());
            }
            if end < mark.span.end {
                self.continued_comments(end + 1);
            }
            start = end + 1;
        }
        self.indent = indent;
    }

    fn continued_comments(&mut self, end: usize) {
        let from = self.lines.len();
        self.comments_before(end);
        for line in self.lines.iter_mut().skip(from) {
            (line.gap, line.continues, line.indent) = (false, true, self.indent);
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ',')
}

fn elements(text: &str) -> Vec<String> {
    element::words(text).map(|(_, words)| words.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// `VERDICT [becomes PACKET]`; the name of a target or a pool is a word, whatever is in it.
fn outcome(text: &str) -> String {
    let mut rest = text.trim();
    let mut words = Vec::new();
    let count = match rest.split_whitespace().next() {
        Some("redirect" | "route") => 2,
        _ => 1,
    };
    for _ in 0..count {
        let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        words.push(word);
        rest = behind.trim_start();
    }
    let mut out = words.join(" ");
    if let Some(packet) = rest.strip_prefix("becomes") {
        out.push_str(" becomes ");
        out.push_str(&packet::spaced(packet.trim_start()));
    }
    out
}
