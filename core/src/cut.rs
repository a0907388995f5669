//! Texts that are cut where there is no room for all of them.

/// The first bytes of a text, at most so many, and whole characters of it.
pub(crate) fn begin(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}
