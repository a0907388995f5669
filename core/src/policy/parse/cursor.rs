//! Words of a statement, one after the other, with their places.

use std::ops::Range;

use crate::near::near;
use crate::policy::element::mac;
use crate::policy::scan::string_end;
use crate::policy::tuple::element_length;
use crate::problem::{Problem, Span};

/// What ends a word.
const ENDS: &[char] = &[' ', '\t', '\r', '\n', '{', '}', '(', ')', ';', ',', '=', '"'];
/// Longer words are nobody's typing error.
const LONGEST_NAME: usize = 64;

/// A part of a text, and how far it is read.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    pub(crate) at: usize,
    end: usize,
}

/// A word as it is shown in a message.
pub(crate) fn quote(word: &str) -> String {
    match word.char_indices().nth(LONGEST_NAME) {
        None => word.to_string(),
        Some((end, _)) => format!("{}…", word.get(..end).unwrap_or_default()),
    }
}

/// The nearest of some words, or what else was expected.
pub(crate) fn near_or<'n>(word: &str, names: impl IntoIterator<Item = &'n str>, expected: &str) -> String {
    let names: Vec<&str> = if word.len() > LONGEST_NAME { Vec::new() } else { names.into_iter().collect() };
    match near(word, names).as_slice() {
        [] => expected.to_string(),
        [name, ..] => format!("did you mean {name}?"),
    }
}

/// A name begins with a letter, goes on with letters, digits, `_` and `-`, and ends with a letter or a digit: then it is
/// a name in a filter as well.
pub fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.ends_with(|c: char| c.is_ascii_alphanumeric())
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// The text with `\"` and `\\` as in a quoted string.
pub(crate) fn unquote(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next @ ('"' | '\\'))) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str, span: Range<usize>) -> Self {
        Cursor { text, at: span.start, end: span.end }
    }

    /// What is not yet read.
    fn rest(&self) -> &'a str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    /// To the next word, whatever line it is on.
    pub(crate) fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// The next word and where it is, without reading it; empty at the end and before a sign.
    pub(crate) fn peek(&mut self) -> (&'a str, Span) {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(ENDS).unwrap_or(rest.len());
        (rest.get(..end).unwrap_or_default(), self.at..self.at + end)
    }

    /// The next element of a set, without reading it: a word, or several of a tuple.
    pub(crate) fn element(&mut self) -> (&'a str, Span) {
        self.skip_space();
        let rest = self.rest();
        let end = element_length(rest, ENDS);
        (rest.get(..end).unwrap_or_default(), self.at..self.at + end)
    }

    /// The next word and where it is.
    pub(crate) fn word(&mut self) -> (&'a str, Span) {
        let (word, span) = self.peek();
        self.at = span.end;
        (word, span)
    }

    /// Reads the next word if it is this one.
    pub(crate) fn take(&mut self, word: &str) -> bool {
        let (next, span) = self.peek();
        if next == word {
            self.at = span.end;
        }
        next == word
    }

    /// Reads the next sign if it is this one.
    pub(crate) fn sign(&mut self, sign: char) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    pub(crate) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.rest().is_empty()
    }

    /// A problem with what stands next.
    pub(crate) fn expected(&mut self, what: &str) -> Problem {
        let (word, span) = self.peek();
        let first = self.rest().chars().next();
        match first {
            None => Problem::new(span, "something is missing here").hint(format!("expected {what}")),
            Some(sign) if word.is_empty() => {
                Problem::new(self.at..self.at + sign.len_utf8(), format!("unexpected {sign}"))
                    .hint(format!("expected {what}"))
            }
            Some(_) => Problem::new(span, format!("unexpected {}", quote(word))).hint(format!("expected {what}")),
        }
    }

    /// A name of a policy, set or counter.
    pub(crate) fn name(&mut self, whose: &str) -> Result<(&'a str, Span), Problem> {
        let (word, span) = self.peek();
        if word.is_empty() {
            return Err(self.expected(&format!("the name of a {whose}")));
        }
        if !is_name(word) {
            let what = format!("{} is no name", quote(word));
            return Err(
                Problem::new(span, what).hint("a name begins with a letter and goes on with letters, digits, _ and -")
            );
        }
        self.at = span.end;
        Ok((word, span))
    }

    /// A string between quotes.
    pub(crate) fn string(&mut self, what: &str) -> Result<(String, Span), Problem> {
        self.skip_space();
        if !self.rest().starts_with('"') {
            return Err(self.expected(what));
        }
        let span = self.at..string_end(self.text, self.at).min(self.end);
        let inner = self.text.get(span.start + 1..span.end - 1).filter(|_| span.len() >= 2);
        let closed = self.text.get(..span.end).is_some_and(|text| text.ends_with('"'));
        let inner =
            inner.filter(|inner| closed && (inner.len() - inner.trim_end_matches('\\').len()).is_multiple_of(2));
        let Some(inner) = inner else {
            return Err(Problem::new(span, "this string has no end").hint("expected a closing \" on this line"));
        };
        self.at = span.end;
        Ok((unquote(inner), span))
    }

    /// A number of decimal digits from `least` to `most`.
    pub(crate) fn number(&mut self, what: &str, least: u64, most: u64) -> Result<u64, Problem> {
        let (word, span) = self.peek();
        if word.is_empty() {
            return Err(self.expected(what));
        }
        match decimal(word).filter(|number| (least..=most).contains(number)) {
            Some(number) => {
                self.at = span.end;
                Ok(number)
            }
            None => Err(Problem::new(span, format!("{} is not {what}", quote(word)))
                .hint(format!("expected a number from {least} to {most}"))),
        }
    }

    /// An Ethernet address.
    pub(crate) fn mac(&mut self) -> Result<[u8; 6], Problem> {
        let (word, span) = self.peek();
        if word.is_empty() {
            return Err(self.expected("an Ethernet address"));
        }
        self.at = span.end;
        let problem = || Problem::new(span, format!("{} is not an Ethernet address", quote(word)));
        mac(word).ok_or_else(|| problem().hint("expected six pairs of digits: 02:00:00:00:00:01"))
    }
}

/// A number in decimal digits only.
pub(crate) fn decimal(word: &str) -> Option<u64> {
    word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok())?
}
