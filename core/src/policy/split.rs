//! A file in parts that can stand alone: its sets, pools and policies.

use super::parse::{Mark, Part, parse_marked};
use super::scan::Source;
use super::{Document, Policy, PolicyPlace};
use crate::problem::Problem;

/// What a part of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// `set NAME = …`
    Set,
    /// `pool NAME …`
    Pool,
    /// `policy NAME …`, with the tests on it
    Policy,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Separate {
    /// What it is.
    pub kind: PartKind,
    /// Its name.
    pub name: String,
    /// Its text as it was written, with the comments right above it; a policy is without its `on`.
    pub text: String,
    /// Where a policy lives.
    pub places: Vec<PolicyPlace>,
}

/// Takes a file apart. Rules outside of any policy are the policy `unnamed`. Tests go with the policy that they are on.
///
/// # Errors
/// As of [`super::parse()`].
pub fn split(text: &str, unnamed: &str) -> Result<(Document, Vec<Separate>), Vec<Problem>> {
    let (document, marks) = parse_marked(text, &Source::new(text))?;
    let mut parts = Vec::new();
    for set in &document.sets {
        parts.push(part(text, &marks, PartKind::Set, &set.name, set.span.start));
    }
    for pool in &document.pools {
        parts.push(part(text, &marks, PartKind::Pool, &pool.name, pool.span.start));
    }
    for policy in &document.policies {
        let mut one = match policy.span.is_empty() {
            true => bare(policy, unnamed),
            false => named(text, &marks, policy),
        };
        for test in document.tests.iter().filter(|test| test.policy.as_ref().is_none_or(|name| *name == policy.name)) {
            let is_only = test.policy.is_none() && document.policies.len() > 1;
            if !is_only && let Some(words) = block(text, &marks, test.span.start) {
                one.text += &format!("\n{words}\n");
            }
        }
        parts.push(one);
    }
    Ok((document, parts))
}

/// The statement in which an offset is: from its first word to its end.
fn block<'t>(text: &'t str, marks: &[Mark], inside: usize) -> Option<&'t str> {
    let at =
        marks.iter().rposition(|mark| mark.span.start <= inside && matches!(mark.part, Part::Set(_) | Part::Open))?;
    let first = marks.get(at)?;
    let end = match first.part {
        Part::Open => marks.iter().skip(at).find(|mark| mark.part == Part::Close)?.span.end,
        _ => first.span.end,
    };
    text.get(above(text, first.span.start)..end)
}

/// Where the comment lines begin that stand right above an offset.
fn above(text: &str, start: usize) -> usize {
    let mut begin = start;
    let mut lines = text.get(..start).unwrap_or_default().split_inclusive('\n').rev();
    if text.get(..start).is_some_and(|before| !before.is_empty() && !before.ends_with('\n')) {
        lines.next();
        return start;
    }
    for line in lines.take_while(|line| line.trim_start().starts_with('#')) {
        begin -= line.len();
    }
    begin
}

fn part(text: &str, marks: &[Mark], kind: PartKind, name: &str, inside: usize) -> Separate {
    let words = block(text, marks, inside).unwrap_or_default();
    Separate { kind, name: name.to_string(), text: format!("{words}\n"), places: Vec::new() }
}

/// A policy that was written as one, without its `on`.
fn named(text: &str, marks: &[Mark], policy: &Policy) -> Separate {
    let mut one = part(text, marks, PartKind::Policy, &policy.name, policy.span.start);
    one.places.clone_from(&policy.places);
    let open = marks.iter().rev().find(|mark| mark.part == Part::Open && mark.span.start <= policy.span.start);
    if let Some(open) = open.filter(|_| !policy.places.is_empty()) {
        let start = above(text, open.span.start);
        let (from, to) = (policy.span.end - start, open.span.end - start - 1);
        one.text.replace_range(from..to, " ");
    }
    one
}

/// Rules outside of any policy, as one.
fn bare(policy: &Policy, name: &str) -> Separate {
    let policy = Policy { name: name.to_string(), span: 0..1, ..policy.clone() };
    let document = Document { policies: vec![policy], ..Document::default() };
    Separate { kind: PartKind::Policy, name: name.to_string(), text: document.to_string(), places: Vec::new() }
}
