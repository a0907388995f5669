//! The words of a packet.

use crate::problem::{Problem, Span};

/// A word, a string in its quotes, or `>`.
#[derive(Clone, Debug)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) span: Span,
}

/// The words that are left.
pub(super) struct Tokens<'a> {
    all: Vec<Token<'a>>,
    at: usize,
    length: usize,
}

/// A word as it is shown in a message.
pub(super) fn short(word: &str) -> String {
    crate::policy::quote(word)
}

impl Token<'_> {
    pub(super) fn shown(&self) -> String {
        short(self.text)
    }

    /// A decimal number, or a hexadecimal one behind `0x`.
    pub(super) fn number(&self) -> Option<usize> {
        match self.text.strip_prefix("0x") {
            Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => usize::from_str_radix(digits, 16).ok(),
            _ => self.text.bytes().all(|b| b.is_ascii_digit()).then(|| self.text.parse().ok())?,
        }
    }
}

impl<'a> Tokens<'a> {
    pub(super) fn new(words: &'a str) -> Result<Self, Problem> {
        let (mut all, mut at) = (Vec::new(), 0);
        while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
            let length = match rest.as_bytes().first() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {
                    at += 1;
                    continue;
                }
                Some(b'>') => 1,
                Some(b'"') => {
                    let length = crate::policy::string_end(rest, 0);
                    let closed = length >= 2 && rest.get(..length).is_some_and(is_closed);
                    if !closed {
                        let problem = Problem::new(at..at + length, "this string has no end");
                        return Err(problem.hint("expected a closing \" on this line"));
                    }
                    length
                }
                _ => rest.find([' ', '\t', '\r', '\n', '>', '"']).unwrap_or(rest.len()),
            };
            all.push(Token { text: rest.get(..length).unwrap_or_default(), span: at..at + length });
            at += length;
        }
        Ok(Tokens { all, at: 0, length: words.len() })
    }

    pub(super) fn spaced(&self) -> String {
        self.all.iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    /// Behind the last word.
    pub(super) fn end(&self) -> Span {
        self.peek().map_or(self.length..self.length, |token| token.span)
    }

    pub(super) fn peek(&self) -> Option<Token<'a>> {
        self.all.get(self.at).cloned()
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    pub(super) fn next_word(&mut self) -> Option<(&'a str, Span)> {
        self.next().map(|token| (token.text, token.span))
    }

    /// The bytes of a string: `"GET /\r\n\x00"`.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Problem> {
        let Some(token) = self.next() else {
            return Err(Problem::new(self.end(), "the packet ends here").hint("expected a string between quotes"));
        };
        let Some(inner) = token.text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
            return Err(Problem::new(token.span.clone(), format!("unexpected {}", token.shown()))
                .hint("expected a string between quotes"));
        };
        unescape(inner).ok_or_else(|| {
            Problem::new(token.span, "this string has an escape that means nothing")
                .hint(r#"there are \n \r \t \0 \\ \" and \xNN"#)
        })
    }
}

/// Whether a string that begins with a quote ends with one that is not escaped.
fn is_closed(text: &str) -> bool {
    let inner = text.get(1..).and_then(|text| text.strip_suffix('"'));
    inner.is_some_and(|inner| (inner.len() - inner.trim_end_matches('\\').len()).is_multiple_of(2))
}

fn unescape(inner: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match bytes.next()? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'0' => 0,
            escaped @ (b'\\' | b'"') => escaped,
            b'x' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                u8::try_from(digit(bytes.next())? << 4 | digit(bytes.next())?).ok()?
            }
            _ => return None,
        });
    }
    Some(out)
}
