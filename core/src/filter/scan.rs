//! Filter text to tokens.
//!
//! The longest match wins, and among equally long ones the more special: word of the language, Ethernet address,
//! number, IPv4 address, IPv6 address, name. So `len-5` is a name, and `ab-cd-ef-00-00-02` an address.

use std::net::Ipv6Addr;

use crate::problem::{Problem, Span};

use super::words;

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    /// What it is.
    pub(super) kind: Kind,
    /// Where it stands in the whole text.
    pub(super) span: Span,
}

/// The kinds of tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A word of the language, in its canonical spelling: `ether` also for `link`, `and` also for `&&`.
    Word(&'static str),
    /// An operator or bracket, in its canonical spelling: `=` also for `==`.
    Symbol(&'static str),
    /// A number, or the name of one: `tcp-syn`.
    Number(u32),
    /// Two to four numbers with dots between them.
    Dotted(String),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// An Ethernet address.
    Mac([u8; 6]),
    /// Any other name; without its backslash.
    Name(String),
    /// A string in double quotes.
    Text(Vec<u8>),
    /// `{ … }`: where the text between the braces stands.
    Braces(Span),
    /// The end of the text.
    End,
}

/// All tokens of `text[span]`, with an [`Kind::End`] behind the last.
pub(super) fn scan(text: &str, span: Span) -> Result<Vec<Token>, Problem> {
    let whole = text.get(..span.end).unwrap_or(text);
    let mut at = span.start;
    let mut tokens = Vec::new();
    loop {
        let rest = whole.get(at..).unwrap_or_default();
        let Some(first) = rest.chars().next() else { break };
        if matches!(first, ' ' | '\r' | '\n' | '\t') {
            at += 1;
            continue;
        }
        let (kind, length) = token(rest, at)?;
        tokens.push(Token { kind, span: at..at + length });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, span: at..at });
    Ok(tokens)
}

/// The first token of `rest`, which begins at `at`, and its length.
fn token(rest: &str, at: usize) -> Result<(Kind, usize), Problem> {
    if let Some(name) = rest.strip_prefix('\\') {
        let length = name.find([' ', '!', '(', ')', '\n', '\t']).unwrap_or(name.len());
        if length > 0 {
            return Ok((Kind::Name(name.get(..length).unwrap_or_default().to_string()), length + 1));
        }
    }
    if rest.starts_with('"') {
        return text(rest, at);
    }
    if let Some(inner) = rest.strip_prefix('{') {
        let Some(length) = inner.find('}') else {
            return Err(Problem::new(at..at + 1, "this brace is not closed").hint("expected } behind the last element"));
        };
        return Ok((Kind::Braces(at + 1..at + 1 + length), length + 2));
    }
    let is_symbol = !rest.starts_with(|first: char| first.is_ascii_alphanumeric());
    if is_symbol && let Some(symbol) = words::SYMBOLS.iter().find(|(spelling, _)| rest.starts_with(spelling)) {
        let kind = match symbol.1 {
            word @ ("and" | "or") => Kind::Word(word),
            symbol => Kind::Symbol(symbol),
        };
        return longer_v6(rest, at).unwrap_or(Ok((kind, symbol.0.len())));
    }
    word(rest, at)
}

/// `::1` begins with what is a symbol elsewhere.
fn longer_v6(rest: &str, at: usize) -> Option<Result<(Kind, usize), Problem>> {
    let length = v6(rest.as_bytes());
    (length > 1).then(|| v6_token(rest, length, at))
}

fn v6_token(rest: &str, length: usize, at: usize) -> Result<(Kind, usize), Problem> {
    let spelling = rest.get(..length).unwrap_or_default();
    match spelling.parse() {
        Ok(address) => Ok((Kind::V6(address), length)),
        Err(_) => Err(Problem::new(at..at + length, format!("{spelling} is no IPv6 address"))),
    }
}

/// Names, numbers and addresses.
fn word(rest: &str, at: usize) -> Result<(Kind, usize), Problem> {
    let bytes = rest.as_bytes();
    // What begins with no digit can only be a name.
    let numeric = bytes.first().is_some_and(|first| first.is_ascii_hexdigit() || *first == b':');
    let length = |of: fn(&[u8]) -> usize| if numeric { of(bytes) } else { 0 };
    let (mac, number, dotted, v6, bogus) = (length(mac), length(number), length(dotted), length(v6), length(bogus_mac));
    let name = name(bytes);
    let longest = name.max(mac).max(number).max(dotted).max(v6).max(bogus);
    let Some(spelling) = rest.get(..longest).filter(|spelling| !spelling.is_empty()) else {
        let first = rest.chars().next().unwrap_or_default();
        return Err(Problem::new(at..at + first.len_utf8(), format!("{first} has no meaning here")));
    };
    let span = at..at + longest;
    if longest == name
        && let Some(canonical) = words::word(spelling)
    {
        let kind = if canonical == "!" { Kind::Symbol("!") } else { Kind::Word(canonical) };
        return Ok((kind, longest));
    }
    if longest == mac {
        return Ok((Kind::Mac(mac_bytes(spelling)), longest));
    }
    if longest == number {
        return Ok((Kind::Number(value(spelling).map_err(|what| Problem::new(span, what))?), longest));
    }
    if longest == dotted {
        return Ok((Kind::Dotted(spelling.to_string()), longest));
    }
    if longest == v6 {
        return v6_token(rest, longest, at);
    }
    if longest == bogus {
        return Err(Problem::new(span, format!("{spelling} is no Ethernet address"))
            .hint("expected six bytes in hexadecimal: 02:00:00:00:00:01"));
    }
    match words::number(spelling) {
        Some(number) => Ok((Kind::Number(number), longest)),
        None => Ok((Kind::Name(spelling.to_string()), longest)),
    }
}

/// A string in double quotes with the escapes `\"`, `\\`, `\n`, `\r`, `\t` and `\xNN`.
fn text(rest: &str, at: usize) -> Result<(Kind, usize), Problem> {
    let mut bytes = Vec::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((start, c)) = chars.next() {
        match c {
            '"' => return Ok((Kind::Text(bytes), start + 1)),
            '\\' => match chars.next() {
                Some((_, '"')) => bytes.push(b'"'),
                Some((_, '\\')) => bytes.push(b'\\'),
                Some((_, 'n')) => bytes.push(b'\n'),
                Some((_, 'r')) => bytes.push(b'\r'),
                Some((_, 't')) => bytes.push(b'\t'),
                Some((_, 'x')) => {
                    let digits = rest.get(start + 2..start + 4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                    let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
                        return Err(Problem::new(at + start..at + start + 2, "\\x without two hexadecimal digits"));
                    };
                    bytes.push(byte);
                    chars.nth(1);
                }
                _ => {
                    return Err(Problem::new(at + start..at + start + 1, "no such escape")
                        .hint("expected \\\" \\\\ \\n \\r \\t or \\xNN"));
                }
            },
            '\n' => break,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(Problem::new(at..at + 1, "this string is not closed").hint("expected \" at its end, on this line"))
}

/// Length of the longest name: letters, digits, dots, and inside also dashes and underscores.
fn name(bytes: &[u8]) -> usize {
    if !bytes.first().is_some_and(u8::is_ascii_alphanumeric) {
        return 0;
    }
    let end = run(bytes, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let inside = bytes.iter().take(end).rposition(|byte| !matches!(byte, b'-' | b'_'));
    inside.map_or(0, |last| last + 1)
}

/// How many of the first bytes are such.
fn run(bytes: &[u8], such: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| such(**byte)).count()
}

fn hex_digits(bytes: &[u8]) -> usize {
    run(bytes, |byte| byte.is_ascii_hexdigit())
}

fn after(bytes: &[u8], at: usize) -> &[u8] {
    bytes.get(at..).unwrap_or_default()
}

/// Length of the longest number: decimal digits, or `0x` and hexadecimal ones.
fn number(bytes: &[u8]) -> usize {
    if let [b'0', b'x' | b'X', rest @ ..] = bytes
        && hex_digits(rest) > 0
    {
        return 2 + hex_digits(rest);
    }
    run(bytes, |byte| byte.is_ascii_digit())
}

/// Length of the longest sequence of two to four numbers with dots between them.
fn dotted(bytes: &[u8]) -> usize {
    let mut end = number(bytes);
    let mut numbers = usize::from(end > 0);
    while numbers > 0 && numbers < 4 && bytes.get(end) == Some(&b'.') {
        let next = number(after(bytes, end + 1));
        if next == 0 {
            break;
        }
        end += 1 + next;
        numbers += 1;
    }
    if numbers > 1 { end } else { 0 }
}

/// Length of the longest Ethernet address: `a:b:c:d:e:f`, also with dots or dashes, `aabb.ccdd.eeff`, `aabbccddeeff`.
fn mac(bytes: &[u8]) -> usize {
    let separated = |separator: u8| {
        let mut end = hex_digits(bytes).min(2);
        for _ in 1..6 {
            let digits = hex_digits(after(bytes, end + 1)).min(2);
            if end == 0 || bytes.get(end) != Some(&separator) || digits == 0 {
                return 0;
            }
            end += 1 + digits;
        }
        end
    };
    let fours = |dot: usize| {
        let step = 4 + dot;
        let whole = (0..3).all(|group| hex_digits(after(bytes, group * step)) >= 4);
        let dots = (1..3).all(|group| dot == 0 || bytes.get(group * step - 1) == Some(&b'.'));
        if whole && dots { 12 + 2 * dot } else { 0 }
    };
    separated(b':').max(separated(b'-')).max(separated(b'.')).max(fours(1)).max(fours(0))
}

/// The bytes of an Ethernet address that [`mac`] found.
pub(super) fn mac_bytes(spelling: &str) -> [u8; 6] {
    let mut out = [0; 6];
    let groups: Vec<&str> = spelling.split([':', '-', '.']).collect();
    let mut bytes: Vec<u8> = Vec::new();
    for group in &groups {
        let step = if groups.len() == 6 { group.len() } else { 2 };
        for start in (0..group.len()).step_by(step.max(1)) {
            bytes.push(group.get(start..start + step).and_then(|b| u8::from_str_radix(b, 16).ok()).unwrap_or(0));
        }
    }
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
    out
}

/// Length of what looks like an Ethernet address, but is none: at least two groups with colons behind them.
fn bogus_mac(bytes: &[u8]) -> usize {
    let (mut end, mut groups) = (0, 0);
    loop {
        let digits = hex_digits(after(bytes, end)).min(2);
        let colons = run(after(bytes, end + digits), |byte| byte == b':');
        if digits == 0 || colons == 0 {
            return if groups > 1 { end } else { 0 };
        }
        end += digits + colons;
        groups += 1;
    }
}

/// Length of the longest IPv6 address.
fn v6(bytes: &[u8]) -> usize {
    let mut best = 0;
    v6_from(bytes, 0, 0, false, &mut best);
    best
}

/// Goes on behind `groups` groups that end at `end`; `gap` says whether `::` was seen. A group or `::` may follow.
fn v6_from(bytes: &[u8], end: usize, groups: usize, gap: bool, best: &mut usize) {
    let rest = after(bytes, end);
    let behind_gap = gap && bytes.get(end.wrapping_sub(1)) == Some(&b':');
    let most = if gap { 7 } else { 8 };
    if gap || groups == most {
        *best = (*best).max(end);
    }
    if !gap && rest.starts_with(b"::") && groups <= 7 {
        v6_from(bytes, end + 2, groups, true, best);
    }
    let colon = usize::from(groups > 0 && !behind_gap);
    if colon == 1 && rest.first() != Some(&b':') || groups == most {
        return;
    }
    let group = after(rest, colon);
    if groups <= 5 && gap || groups == 6 && !gap {
        let tail = dotted(group);
        if group.iter().take(tail).filter(|byte| **byte == b'.').count() == 3 {
            *best = (*best).max(end + colon + tail);
        }
    }
    let digits = hex_digits(group).min(4);
    if digits > 0 {
        v6_from(bytes, end + colon + digits, groups + 1, gap, best);
    }
}

/// The value of a number: decimal, octal behind a 0, hexadecimal behind `0x`.
fn value(spelling: &str) -> Result<u32, String> {
    let hexadecimal = spelling.strip_prefix("0x").or_else(|| spelling.strip_prefix("0X"));
    let (digits, radix) = match hexadecimal {
        Some(digits) => (digits, 16),
        None if spelling.starts_with('0') => (spelling, 8),
        None => (spelling, 10),
    };
    if radix == 8 && digits.contains(['8', '9']) {
        return Err(format!("{spelling} begins with 0 and is no octal number"));
    }
    u32::from_str_radix(digits, radix).map_err(|_| format!("{spelling} is greater than 4294967295"))
}
