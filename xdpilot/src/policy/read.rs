//! From the text of a policy, and the files of its sets, to what it means.

use std::path::{Path, PathBuf};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Document, Element, Members, Request};
use xdpilot_core::problem::{Lines, Problem};

use super::{Policy, beside};
use crate::direction::Direction;
use crate::source::{self, Sought};

/// The text of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text.
    pub text: String,
    /// Its file, absolute; none where it was written on the command line.
    pub path: Option<PathBuf>,
    /// What messages call it.
    pub name: String,
}

impl Text {
    /// Reads a policy file.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn of_file(path: &Path) -> Result<Self> {
        let text = source::text(&path.display().to_string(), source::contents(path, Sought::Program)?)?;
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Text { text, path: Some(absolute), name: path.display().to_string() })
    }

    /// The words of `-e`.
    pub fn of_words(words: &str) -> Self {
        Text { text: words.to_string(), path: None, name: "-e".to_string() }
    }

    /// What it was read from: the file's absolute path, or the words of `-e`.
    pub fn origin(&self) -> String {
        match &self.path {
            Some(path) => path.display().to_string(),
            None => format!("-e '{}'", self.text),
        }
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        Lines::of(&self.text).number(offset)
    }

    /// Problems as an error that shows each of them.
    pub fn error(&self, problems: &[Problem]) -> Error {
        let lines = Lines::of(&self.text);
        let shown = problems.iter().map(|problem| problem.show_among(&self.name, &self.text, &lines));
        let shown: Vec<String> = shown.collect();
        Error::usage(shown.join("\n"))
    }
}

/// Parses a text, reads the files of its sets, and resolves the named policy, or the only one.
///
/// # Errors
/// Something is wrong with the text or a set file: all of it is told, each with its place.
pub fn read(text: &Text, name: Option<&str>, direction: Direction) -> Result<Policy> {
    let document = policy::parse(&text.text).map_err(|problems| text.error(&problems))?;
    let mut failure = None;
    let mut of_file = |path: &str| -> Result<Vec<Element>> {
        elements(&beside(text.path.as_deref(), path)).inspect_err(|error| failure = Some(error.clone()))
    };
    let inbound = direction == Direction::Ingress;
    let request = Request { policy: name, file: &text.name, inbound, resolve: None };
    let rules = policy::resolve(&document, &request, &mut of_file);
    if let Some(failure) = failure {
        return Err(failure);
    }
    let rules = rules.map_err(|problems| text.error(&problems))?;
    let places = policy::choose(&document, name).map(|policy| policy.places.clone()).unwrap_or_default();
    let used = |name: &str| rules.sets.iter().any(|set| set.name == name);
    let files = files(&document, text.path.as_deref()).into_iter().filter(|(set, _)| used(set)).collect();
    Ok(Policy { rules: rules.into(), places, direction, origin: text.origin(), files })
}

/// The sets that are read from files.
fn files(document: &Document, policy: Option<&Path>) -> Vec<(String, PathBuf)> {
    let file = |set: &policy::Set| match &set.members {
        Members::File(path) => Some((set.name.clone(), beside(policy, path))),
        Members::Listed(_) => None,
    };
    document.sets.iter().filter_map(file).collect()
}

/// The elements in a set's file.
///
/// # Errors
/// It cannot be read, or holds what is no element: each is told with its place.
pub fn elements(path: &Path) -> Result<Vec<Element>> {
    let content = source::text(&path.display().to_string(), source::contents(path, Sought::Text)?)?;
    policy::elements(&content).map_err(|problems| {
        let (name, lines) = (path.display().to_string(), Lines::of(&content));
        let shown: Vec<String> = problems.iter().map(|problem| problem.show_among(&name, &content, &lines)).collect();
        Error::usage(shown.join("\n"))
    })
}
