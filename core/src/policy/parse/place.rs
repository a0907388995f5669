//! Where a policy lives, from words.

use super::action;
use super::cursor::{Cursor, quote};
use crate::policy::PolicyPlace;
use crate::problem::Problem;

/// Places in words, as they stand behind `on`: `node role=edge eth0, docker:web traffic from`.
///
/// # Errors
/// They are none.
pub fn some_places(words: &str) -> Result<Vec<PolicyPlace>, Problem> {
    let mut cursor = Cursor::new(words, 0..words.len());
    let found = places(&mut cursor)?;
    if cursor.is_at_end() { Ok(found) } else { Err(cursor.expected("a comma, or the end")) }
}

/// `PLACE { "," PLACE }`
pub(super) fn places(cursor: &mut Cursor<'_>) -> Result<Vec<PolicyPlace>, Problem> {
    let mut places = Vec::new();
    loop {
        cursor.skip_space();
        let start = cursor.at;
        let place = place(cursor)?;
        if places.contains(&place) {
            return Err(Problem::new(start..cursor.at, "this place is said twice"));
        }
        places.push(place);
        if !cursor.sign(',') {
            return Ok(places);
        }
    }
}

/// `[node KEY=VALUE { KEY=VALUE }] TARGET [traffic to|from] [direction ingress|egress]`
fn place(cursor: &mut Cursor<'_>) -> Result<PolicyPlace, Problem> {
    let mut place = PolicyPlace { node: Vec::new(), target: String::new(), from: false, egress: false };
    if cursor.take("node") {
        place.node = labels(cursor)?;
    }
    place.target = action::target(cursor)?;
    if cursor.take("traffic") {
        place.from = one_of(cursor, "to", "from")?;
    }
    if cursor.take("direction") {
        place.egress = one_of(cursor, "ingress", "egress")?;
    }
    Ok(place)
}

/// The second of two words, rather than the first.
fn one_of(cursor: &mut Cursor<'_>, first: &str, second: &str) -> Result<bool, Problem> {
    let is_second = cursor.take(second);
    if is_second || cursor.take(first) { Ok(is_second) } else { Err(cursor.expected(&format!("{first} or {second}"))) }
}

/// `KEY=VALUE { KEY=VALUE }`
fn labels(cursor: &mut Cursor<'_>) -> Result<Vec<(String, String)>, Problem> {
    let mut labels: Vec<(String, String)> = Vec::new();
    loop {
        let start = cursor.at;
        let (key, span) = cursor.word();
        if !is_label(key) || !cursor.sign('=') {
            cursor.at = start;
            return match labels.is_empty() {
                true => Err(cursor.expected("what the node must have: node role=edge")),
                false => Ok(labels),
            };
        }
        if labels.iter().any(|(known, _)| known == key) {
            return Err(Problem::new(span, format!("{key} is said twice")));
        }
        let (value, span) = cursor.word();
        if !is_label(value) {
            let what =
                if value.is_empty() { "a value is missing".into() } else { format!("{} is no value", quote(value)) };
            return Err(Problem::new(span, what).hint("values are of letters, digits, and . _ - within"));
        }
        labels.push((key.to_string(), value.to_string()));
    }
}

/// Keys and values of labels: letters and digits, with `.`, `_`, `-` and `/` within.
pub fn is_label(word: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    word.len() <= 253
        && word.starts_with(ends)
        && word.ends_with(ends)
        && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
}
