//! A policy file from its text.

mod action;
mod backend;
mod check;
pub(super) mod cursor;
mod method;
mod place;
mod pool;

pub use backend::one_backend;
pub use method::one_method;
pub use place::{is_label, some_places};

use std::ops::Range;

use super::scan::{STATEMENTS, Source, statement_end};
use super::{Document, Element, Members, Policy, Rule, Set, Test, TestCase, Verdict, element};
use crate::filter;
use crate::packet;
use crate::problem::Problem;
use cursor::{Cursor, near_or, quote};

/// After so many the text is not read on.
const MOST_PROBLEMS: usize = 50;
/// The name of a policy that has none.
pub const UNNAMED: &str = "policy";

/// A part of a file, in file order, for the formatter.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) part: Part,
    pub(super) span: Range<usize>,
}

/// The parts of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `set NAME = …`; where its elements stand in braces, the offset of the opening one.
    Set(Option<usize>),
    /// `policy NAME … {`, `pool NAME … {` or `test "NAME" … {`
    Open,
    /// A rule or a default, the offset of its `when`; or a line of a pool, the offset of a backend's options.
    Rule(Option<usize>),
    /// `PACKET => VERDICT`; the offset of the arrow.
    Case(usize),
    /// `}`
    Close,
}

/// Parses a policy file, or the text behind `-e`.
pub fn parse(text: &str) -> Result<Document, Vec<Problem>> {
    parse_marked(text, &Source::new(text)).map(|(document, _)| document)
}

/// Parses a file and tells where its parts are.
pub(super) fn parse_marked(text: &str, source: &Source) -> Result<(Document, Vec<Mark>), Vec<Problem>> {
    let mut parser = Parser {
        source,
        text: &source.text,
        cursor: Cursor::new(&source.text, 0..text.len()),
        document: Document::default(),
        bare: new_policy(UNNAMED, 0..0),
        bare_span: None,
        marks: Vec::new(),
        problems: Vec::new(),
    };
    parser.file();
    parser.finish()
}

fn new_policy(name: &str, span: Range<usize>) -> Policy {
    let (rules, default, default_line) = (Vec::new(), Verdict::Pass, None);
    Policy { name: name.into(), places: Vec::new(), rules, default, default_line, default_span: 0..0, span }
}

struct Parser<'a> {
    source: &'a Source,
    /// The text without comments.
    text: &'a str,
    cursor: Cursor<'a>,
    document: Document,
    /// The policy of rules outside of any.
    bare: Policy,
    /// Its first rule.
    bare_span: Option<Range<usize>>,
    marks: Vec<Mark>,
    problems: Vec<Problem>,
}

impl<'a> Parser<'a> {
    fn file(&mut self) {
        while self.problems.len() < MOST_PROBLEMS {
            self.skip_separators();
            if self.cursor.is_at_end() {
                return;
            }
            let start = self.cursor.at;
            if self.cursor.sign('}') {
                self.problems.push(Problem::new(start..start + 1, "this } closes nothing"));
                continue;
            }
            let done = match self.opening() {
                Some("set") => self.set(),
                Some("policy") => self.policy(),
                Some("test") => self.test(),
                Some(_) => self.pool(),
                None => {
                    self.bare_rule();
                    Ok(())
                }
            };
            if let Err(problem) = done {
                self.problems.push(problem);
                self.cursor.at = self.cursor.at.max(statement_end(self.text, start));
            }
        }
    }

    fn finish(mut self) -> Result<(Document, Vec<Mark>), Vec<Problem>> {
        if let Some(span) = self.bare_span {
            if self.document.policies.is_empty() {
                self.document.policies.push(self.bare);
            } else {
                let problem = Problem::new(span, "this rule stands outside of the file's policies");
                self.problems.push(problem.hint("a file has policies, or rules alone"));
            }
        }
        if self.problems.is_empty() { Ok((self.document, self.marks)) } else { Err(self.problems) }
    }

    fn skip_separators(&mut self) {
        while self.cursor.sign(';') {}
    }

    /// The word, if it begins something that is no rule.
    fn opening(&mut self) -> Option<&'static str> {
        let start = self.cursor.at;
        let (word, _) = self.cursor.word();
        let opening = match word {
            "set" if !self.cursor.word().0.is_empty() && self.cursor.sign('=') => Some("set"),
            "policy" => Some("policy"),
            "test" => Some("test"),
            "pool" => Some("pool"),
            _ => None,
        };
        self.cursor.at = start;
        opening
    }

    fn mark(&mut self, part: Part, start: usize) {
        self.marks.push(Mark { part, span: start..self.cursor.at });
    }

    /// `set NAME = { … }` or `set NAME = file "PATH"`
    fn set(&mut self) -> Result<(), Problem> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        self.cursor.take("set");
        let (name, span) = self.cursor.name("set")?;
        if ["and", "or", "not", "mask"].contains(&name) {
            return Err(Problem::new(span, format!("a set cannot be named {name}")).hint("it has a meaning in filters"));
        }
        self.cursor.sign('=');
        let (members, open) = if self.cursor.take("file") {
            let (path, span) = self.cursor.string("the path of a file in quotes")?;
            if path.is_empty() {
                return Err(Problem::new(span, "the path is empty"));
            }
            (Members::File(path), None)
        } else {
            self.cursor.skip_space();
            let open = self.cursor.at;
            if !self.cursor.sign('{') {
                return Err(self.cursor.expected("{ elements } or file \"PATH\""));
            }
            (Members::Listed(self.listed(open)), Some(open))
        };
        self.document.sets.push(Set { name: name.to_string(), members, span });
        self.mark(Part::Set(open), start);
        self.end_of_statement();
        Ok(())
    }

    /// The elements up to the closing brace.
    fn listed(&mut self, open: usize) -> Vec<Element> {
        let mut elements = Vec::new();
        while !self.cursor.sign('}') {
            if self.cursor.sign(',') {
                continue;
            }
            let (word, span) = self.cursor.element();
            if word.is_empty() || STATEMENTS.contains(&word) {
                let problem = if word.is_empty() && !self.cursor.is_at_end() {
                    self.cursor.expected("an element or }")
                } else {
                    Problem::new(open..open + 1, "this set is not closed").hint("expected a }")
                };
                self.problems.push(problem);
                break;
            }
            self.cursor.at = span.end;
            match element(word, span) {
                Ok(element) => elements.push(element),
                Err(problem) => self.problems.push(problem),
            }
            if self.problems.len() >= MOST_PROBLEMS {
                break;
            }
        }
        elements
    }

    /// A statement is over at the end of the line, `;` or `}`.
    fn end_of_statement(&mut self) {
        let end = self.cursor.at;
        let (word, span) = self.cursor.peek();
        let between = self.text.get(end..span.start).unwrap_or_default();
        let sign = self.text.get(span.start..).and_then(|rest| rest.chars().next());
        if between.contains('\n') || matches!(sign, None | Some(';' | '}')) {
            return;
        }
        if word.is_empty() || !STATEMENTS.contains(&word) {
            let problem = self.cursor.expected("the end of the line");
            self.problems.push(problem);
            let line_end = self.text.get(span.start..).and_then(|rest| rest.find('\n'));
            self.cursor.at = line_end.map_or(self.text.len(), |length| span.start + length);
        }
    }

    /// `policy NAME [on PLACE, …] { … }`
    fn policy(&mut self) -> Result<(), Problem> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        self.cursor.take("policy");
        let (name, span) = self.cursor.name("policy")?;
        let mut policy = new_policy(name, span);
        if self.cursor.take("on") {
            policy.places = place::places(&mut self.cursor)?;
        }
        self.open(start, if !policy.places.is_empty() { "{" } else { "{ or on TARGET" })?;
        while self.inside() {
            self.rule(&mut policy);
        }
        self.document.policies.push(policy);
        Ok(())
    }

    /// The opening brace of a block that began at `start`.
    fn open(&mut self, start: usize, expected: &str) -> Result<(), Problem> {
        if !self.cursor.sign('{') {
            return Err(self.cursor.expected(expected));
        }
        self.mark(Part::Open, start);
        Ok(())
    }

    /// Whether a further statement follows in this block; else its end is read.
    fn inside(&mut self) -> bool {
        self.skip_separators();
        let start = self.cursor.at;
        if self.problems.len() >= MOST_PROBLEMS {
            return false;
        }
        if self.cursor.sign('}') {
            self.mark(Part::Close, start);
            return false;
        }
        if !self.cursor.is_at_end() && self.opening().is_none() {
            return true;
        }
        let open = self.marks.iter().rev().find(|mark| mark.part == Part::Open);
        let end = open.map_or(0, |mark| mark.span.end);
        let problem = Problem::new(end.saturating_sub(1)..end, "this { is not closed").hint("expected a }");
        self.problems.push(problem);
        false
    }

    fn bare_rule(&mut self) {
        let mut bare = std::mem::replace(&mut self.bare, new_policy(UNNAMED, 0..0));
        let start = self.cursor.at;
        self.rule(&mut bare);
        self.bare_span.get_or_insert(start..self.cursor.at);
        self.bare = bare;
    }

    /// `ACTION [when FILTER]` or `default VERDICT`
    fn rule(&mut self, policy: &mut Policy) {
        self.cursor.skip_space();
        let start = self.cursor.at;
        let end = statement_end(self.text, start).max(start + 1);
        self.cursor.at = end;
        let mut cursor = Cursor::new(self.text, start..end);
        let read = if cursor.take("default") {
            self.default(&mut cursor, policy, start)
        } else {
            self.rule_words(&mut cursor, policy, start..end)
        };
        match read {
            Ok(part) => self.mark(part, start),
            Err(problem) => self.problems.push(problem),
        }
    }

    fn default(&mut self, cursor: &mut Cursor<'a>, policy: &mut Policy, start: usize) -> Result<Part, Problem> {
        let verdict = action::verdict(cursor)?.ok_or_else(|| cursor.expected("a verdict: pass or drop"))?;
        let span = start..cursor.at;
        if !cursor.is_at_end() {
            return Err(cursor
                .expected("the end of the line")
                .hint("a default is for all packets that no rule decides"));
        }
        if let Some(line) = policy.default_line {
            return Err(Problem::new(span, format!("the default is said twice: line {line} has one")));
        }
        (policy.default, policy.default_line) = (verdict, Some(self.source.line(start)));
        policy.default_span = span;
        Ok(Part::Rule(None))
    }

    fn rule_words(
        &mut self,
        cursor: &mut Cursor<'a>,
        policy: &mut Policy,
        span: Range<usize>,
    ) -> Result<Part, Problem> {
        let action = action::action(cursor)?;
        let action_span = span.start..cursor.at;
        let (word, at) = cursor.peek();
        let when = if cursor.take("when") {
            if cursor.is_at_end() {
                return Err(Problem::new(at, "there is no filter behind when").hint("expected a filter: when udp"));
            }
            Some(filter::parse(self.text, cursor.at..span.end)?)
        } else if cursor.is_at_end() {
            None
        } else {
            let hint = near_or(word, ["when"], "expected when, or the end of the line");
            return Err(cursor.expected("when").hint(hint));
        };
        let line = self.source.line(span.start);
        let part = Part::Rule(when.is_some().then_some(at.start));
        policy.rules.push(Rule { action, when, line, span, action_span });
        Ok(part)
    }

    /// `test "NAME" [on POLICY] { … }`
    fn test(&mut self) -> Result<(), Problem> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        self.cursor.take("test");
        let (name, span) = self.cursor.string("the name of a test in quotes")?;
        let policy = if self.cursor.take("on") { Some(self.cursor.name("policy")?.0.to_string()) } else { None };
        self.open(start, if policy.is_some() { "{" } else { "{ or on POLICY" })?;
        let mut cases = Vec::new();
        while self.inside() {
            if let Err(problem) = self.case(&mut cases) {
                self.problems.push(problem);
            }
        }
        self.document.tests.push(Test { name, policy, cases, span });
        Ok(())
    }

    /// `PACKET => VERDICT [becomes PACKET]`, on one line.
    fn case(&mut self, cases: &mut Vec<TestCase>) -> Result<(), Problem> {
        self.cursor.skip_space();
        let start = self.cursor.at;
        let (arrow, end) = case_end(self.text, start);
        self.cursor.at = end.max(start + 1);
        let span = start..self.cursor.at;
        let Some(arrow) = arrow else {
            let words = self.text.get(span.clone()).unwrap_or_default();
            return Err(Problem::new(span, format!("no => after {}", quote(words))).hint("expected PACKET => VERDICT"));
        };
        let words = self.text.get(start..arrow).unwrap_or_default().trim_end();
        let shift =
            |problem: Problem| Problem { span: start + problem.span.start..start + problem.span.end, ..problem };
        packet::parse(words).map_err(shift)?;
        let mut cursor = Cursor::new(self.text, arrow + 2..end);
        let verdict = match action::verdict(&mut cursor)? {
            Some(verdict) => verdict,
            None => {
                return Err(cursor.expected("a verdict: pass, drop, reflect, tx, abort, redirect TARGET or route POOL"));
            }
        };
        let becomes = if cursor.take("becomes") {
            cursor.skip_space();
            let start = cursor.at;
            let words = self.text.get(start..end).unwrap_or_default();
            packet::parse(words)
                .map_err(|problem| Problem { span: start + problem.span.start..start + problem.span.end, ..problem })?;
            Some(packet::spaced(words))
        } else if cursor.is_at_end() {
            None
        } else {
            return Err(cursor.expected("the end of the line, or becomes PACKET"));
        };
        cases.push(TestCase { packet: packet::spaced(words), verdict, becomes, span });
        self.mark(Part::Case(arrow), start);
        Ok(())
    }
}

/// Where the arrow of a case is, and where the case ends: at the end of the line, `;` or `}`.
fn case_end(text: &str, start: usize) -> (Option<usize>, usize) {
    let bytes = text.as_bytes();
    let (mut arrow, mut at, mut end) = (None, start, start);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\n' | b';' | b'}' => break,
            b'"' => {
                at = super::scan::string_end(text, at);
                end = at;
                continue;
            }
            b'=' if arrow.is_none() && bytes.get(at + 1) == Some(&b'>') => arrow = Some(at),
            _ => {}
        }
        at += 1;
        if !matches!(byte, b' ' | b'\t' | b'\r') {
            end = at;
        }
    }
    (arrow, end)
}

/// Behind the brace that closes the one at `open`, or the end of the text.
fn block_end(text: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in text.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}
