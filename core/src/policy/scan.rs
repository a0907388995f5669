//! The lexical side of policies: comments, words, where a statement ends, and the spaces between words.

use std::ops::Range;

use crate::problem::Lines;

/// Words that begin a statement. No filter expression has one of them first on a line, so that an open bracket
/// swallows no rule.
pub(crate) const STATEMENTS: [&str; 16] = [
    "pass", "drop", "reflect", "tx", "abort", "redirect", "count", "sample", "limit", "set", "default", "route",
    "decap", "policy", "test", "pool",
];

/// A text whose comments are spaces, so that offsets stay, and where these comments are.
pub(crate) struct Source {
    pub(crate) text: String,
    pub(crate) comments: Vec<Range<usize>>,
    lines: Lines,
}

impl Source {
    pub(crate) fn new(text: &str) -> Self {
        let mut comments = Vec::new();
        let (mut quoted, mut escaped, mut comment) = (false, false, None);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'\n' => {
                    comments.extend(comment.take().map(|start| start..at));
                    (quoted, escaped) = (false, false);
                }
                _ if comment.is_some() => {}
                _ if escaped => escaped = false,
                b'\\' => escaped = quoted,
                b'"' => quoted = !quoted,
                b'#' if !quoted => comment = Some(at),
                _ => {}
            }
        }
        comments.extend(comment.map(|start| start..text.len()));
        let mut bare = String::with_capacity(text.len());
        let mut at = 0;
        for comment in &comments {
            bare.push_str(text.get(at..comment.start).unwrap_or_default());
            bare.extend(std::iter::repeat_n(' ', comment.len()));
            at = comment.end;
        }
        bare.push_str(text.get(at..).unwrap_or_default());
        let bare = bare.replace("\r\n", " \n");
        Source { text: bare, comments, lines: Lines::of(text) }
    }

    /// The line of an offset, from 1.
    pub(crate) fn line(&self, at: usize) -> u32 {
        u32::try_from(self.lines.number(at)).unwrap_or(u32::MAX)
    }
}

/// The words of a text between separators, with their offsets.
pub(crate) fn words(text: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split(separates).filter(|word| !word.is_empty()).map(move |word| (word.as_ptr() as usize - start, word))
}

/// The end of the string whose opening quote is at `at`: behind its closing quote, or the end of the line.
pub(crate) fn string_end(text: &str, at: usize) -> usize {
    let mut escaped = true; // the opening quote
    for (offset, byte) in text.as_bytes().iter().enumerate().skip(at) {
        match byte {
            b'\n' => return offset,
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return offset + 1,
            _ => {}
        }
    }
    text.len()
}

/// Where the statement that begins at `start` ends: at the end of its line, `;`, or a `}` that it has not opened. It goes
/// on in the next line while brackets are open, behind a word or an operator that needs a right side, and before one
/// that needs a left side.
pub(crate) fn statement_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let (mut at, mut behind_last) = (start, start);
    while let Some(&byte) = bytes.get(at) {
        let here = at;
        at += 1;
        match byte {
            b'"' => at = string_end(text, here),
            b'(' | b'[' | b'{' => open.push(byte),
            b'}' if open.last() != Some(&b'{') => return behind_last,
            b')' if open.last() == Some(&b'(') => _ = open.pop(),
            b']' if open.last() == Some(&b'[') => _ = open.pop(),
            b'}' => _ = open.pop(),
            b';' if open.is_empty() => return behind_last,
            b'\n' => {
                let next = at + leading_space(text.get(at..).unwrap_or_default());
                let line = text.get(next..).unwrap_or_default();
                let unfinished = if open.is_empty() {
                    wants_right(text.get(start..behind_last).unwrap_or_default()) || wants_left(line)
                } else {
                    !STATEMENTS.contains(&first_word(line))
                };
                if !unfinished || line.is_empty() {
                    return behind_last;
                }
                at = next;
                continue;
            }
            b' ' | b'\t' | b'\r' => continue,
            _ => {}
        }
        behind_last = at;
    }
    behind_last
}

/// What is between words.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

fn leading_space(text: &str) -> usize {
    text.len() - text.trim_start_matches(SPACE).len()
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// Whether a statement cannot end here.
fn wants_right(text: &str) -> bool {
    const OPERATORS: &[char] = &['&', '|', '=', '<', '>', '!', '+', '-', '*', '/', '%', '^'];
    let word = text.rsplit(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-' | '.' | '\\')).next();
    text.ends_with(OPERATORS) || text.ends_with(" .") || matches!(word, Some("and" | "or" | "not" | "when"))
}

/// Whether a statement cannot begin here.
fn wants_left(text: &str) -> bool {
    text.starts_with("&&")
        || text.starts_with(". ")
        || text.starts_with("||")
        || matches!(first_word(text), "and" | "or" | "when")
}

/// Words of a statement other than a filter or a packet, with one space between them, and none beside a comma.
pub(crate) fn joined(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.trim_start_matches(SPACE);
    while !rest.is_empty() {
        let length = match rest.as_bytes().first() {
            Some(b'"') => string_end(rest, 0),
            Some(b'{' | b'}' | b',' | b'=') => 1,
            _ => rest.find([' ', '\t', '\r', '\n', '"', '{', '}', ',', '=']).unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        if !out.is_empty() && word != "," && !out.ends_with(',') {
            out.push(' ');
        }
        out.push_str(word);
        rest = behind.trim_start_matches(SPACE);
    }
    out
}

/// A piece of a filter on one line with its words as they are, and one space where words are kept apart. `braces` is how many
/// are open: between them a comma has a space behind it.
pub(crate) fn spaced(text: &str, braces: &mut usize) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = "(";
    let mut at = 0;
    while at < text.len() {
        let rest = text.get(at..).unwrap_or_default();
        let skipped = leading_space(rest);
        let token = token(rest.get(skipped..).unwrap_or_default());
        if token.is_empty() {
            break;
        }
        if !out.is_empty() && parted(before, token, skipped > 0, *braces) {
            out.push(' ');
        }
        match token {
            "{" => *braces += 1,
            "}" => *braces = braces.saturating_sub(1),
            _ => {}
        }
        out.push_str(token);
        before = token;
        at += skipped + token.len();
    }
    out
}

/// Operators that stand between spaces.
fn is_operator(token: &str) -> bool {
    matches!(token, "&&" | "||" | "==" | "!=" | ">=" | "<=" | "<<" | ">>" | "=>" | "=" | "<" | ">" | "&" | "|")
}

/// Whether a space stands between two tokens that had one, or had none.
fn parted(left: &str, right: &str, had: bool, braces: usize) -> bool {
    match (left, right) {
        ("(" | "[" | "{" | "!", _) | (_, ")" | "]" | "}" | "," | "[") => false,
        (",", _) => braces > 0,
        (")" | "]" | "}", _) | (_, "(" | "{" | "!") => true,
        _ => had || is_operator(left) || is_operator(right),
    }
}

/// The token that a text begins with.
fn token(text: &str) -> &str {
    let bytes = text.as_bytes();
    let length = match bytes.first() {
        None => 0,
        Some(b'"') => string_end(text, 0),
        // As libpcap reads a name that would be a word of the language.
        Some(b'\\') => {
            1 + text.get(1..).and_then(|name| name.find([' ', '!', '(', ')', '\n', '\t'])).unwrap_or(text.len() - 1)
        }
        Some(b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',') => 1,
        Some(_) if text.get(..2).is_some_and(is_operator) => 2,
        Some(b'=' | b'<' | b'>' | b'&' | b'|' | b'!') => 1,
        Some(_) => {
            let end = text.find([
                ' ', '\t', '\r', '\n', '"', '(', ')', '[', ']', '{', '}', ',', '=', '<', '>', '&', '|', '!', '\\',
            ]);
            end.unwrap_or(text.len())
        }
    };
    text.get(..length).unwrap_or_default()
}
