//! A policy as it grows.

use std::collections::HashSet;
use std::fmt::Write;

use super::{Format, Imported, LeftOut};
use crate::error::{Error, Result};
use crate::policy::{self, Element};

/// Sets with more elements have a line for each.
const BESIDE: usize = 8;

/// A policy of which some parts are there.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sets: String,
    /// Names of sets.
    names: Vec<String>,
    lines: String,
    rules: usize,
    has_default: bool,
    /// What a policy cannot say.
    left_out: Vec<LeftOut>,
    seen: HashSet<LeftOut>,
    notes: Vec<String>,
}

impl Draft {
    /// Adds a set; the name that it has in the policy.
    pub(super) fn set(&mut self, name: &str, elements: &[Element]) -> String {
        let name = self.unique(&word(name, "set"));
        let mut seen = HashSet::new();
        let texts: Vec<String> =
            elements.iter().filter(|element| seen.insert(*element)).map(ToString::to_string).collect();
        _ = match texts.len() {
            0 => writeln!(self.sets, "set {name} = {{}}"),
            1..=BESIDE => writeln!(self.sets, "set {name} = {{ {} }}", texts.join(", ")),
            _ => writeln!(self.sets, "set {name} = {{\n{}\n}}", texts.join(",\n")),
        };
        self.names.push(name.clone());
        name
    }

    fn unique(&self, name: &str) -> String {
        let taken = |name: &String| self.names.contains(name);
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken(name)).unwrap_or_default()
    }

    /// Adds a rule; an empty filter is none.
    pub(super) fn rule(&mut self, action: &str, when: &str, comment: Option<&str>) {
        self.lines.push_str(action);
        if !when.is_empty() {
            _ = write!(self.lines, " when {when}");
        }
        if let Some(comment) = comment.map(|text| text.replace(char::is_control, " ")).filter(|text| !text.is_empty()) {
            _ = write!(self.lines, "  # {comment}");
        }
        self.lines.push('\n');
        self.rules += 1;
    }

    /// What becomes of packets that no rule decides.
    pub(super) fn otherwise(&mut self, verdict: &str) {
        _ = writeln!(self.lines, "default {verdict}");
        self.has_default = true;
    }

    /// Adds what a policy cannot say; once, however often the rule is reached.
    pub(super) fn leave_out(&mut self, line: Option<u32>, text: &str, reason: impl Into<String>) {
        let what = LeftOut { line, text: text.to_owned(), reason: reason.into() };
        if self.seen.insert(what.clone()) {
            self.left_out.push(what);
        }
    }

    /// What the user should know; said once.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The policy.
    ///
    /// # Errors
    /// It is none: a defect of the importer.
    pub(super) fn finish(mut self, format: Format) -> Result<Imported> {
        if self.rules == 0 && !self.has_default {
            self.otherwise("pass");
        }
        let gap = if self.sets.is_empty() { "" } else { "\n" };
        let text = [self.sets.as_str(), gap, &self.lines].concat();
        let policy = policy::format(&text).map_err(|problems| {
            let shown: Vec<String> = problems.iter().map(|problem| problem.show("policy", &text)).collect();
            Error::failed("make a policy of what was read").cause(shown.join("\n"))
        })?;
        let (rules, sets) = (self.rules, self.names.len());
        Ok(Imported { format, policy, rules, sets, left_out: self.left_out, notes: self.notes })
    }
}

/// A name as the language has them, as near to this one as can be.
pub(super) fn word(name: &str, otherwise: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let name: String = name.chars().map(kept).collect();
    let name = name.trim_matches(['-', '_']);
    match name.chars().next() {
        None => otherwise.to_owned(),
        Some(first) if first.is_ascii_alphabetic() => name.to_owned(),
        Some(_) => format!("{otherwise}-{name}"),
    }
}
