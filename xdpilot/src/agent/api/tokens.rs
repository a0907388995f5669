//! Tokens of those who ask over TCP.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ring::digest::{SHA256, digest};
use xdpilot_core::error::{Error, Result};

use super::caller::Right;

/// Tokens, by their hashes.
#[derive(Debug)]
pub(super) struct Tokens(Vec<Token>);

#[derive(Debug, PartialEq, Eq)]
struct Token {
    name: String,
    right: Right,
    hash: [u8; 32],
}

/// A shorter token could be guessed.
const SHORTEST: usize = 16;

impl Tokens {
    /// Reads a file of lines `read|write NAME TOKEN`, where TOKEN may be `sha256:` and its hash.
    ///
    /// # Errors
    /// Others may read the file; a line is none.
    pub(super) fn of_file(path: &Path) -> Result<Self> {
        private(path)?;
        let text = fs::read_to_string(path)
            .map_err(|error| Error::usage(format!("read {}", path.display())).kernel(error.to_string()))?;
        let tokens = parse(&text).map_err(|cause| Error::usage(format!("read {}", path.display())).cause(cause))?;
        Ok(Tokens(tokens))
    }

    /// Whose token this is. It takes as long for any.
    pub(super) fn find(&self, token: &str) -> Option<(&str, Right)> {
        let hash = hash(token);
        let mut found = None;
        for known in &self.0 {
            let differs = known.hash.iter().zip(hash).fold(0, |differs, (a, b)| differs | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some((known.name.as_str(), known.right));
            }
        }
        found
    }
}

/// Refuses a file that others may read.
///
/// # Errors
/// They may; or there is no such file.
pub(super) fn private(path: &Path) -> Result<()> {
    let failed = || Error::usage(format!("read {}", path.display()));
    let facts = fs::metadata(path).map_err(|error| failed().kernel(error.to_string()))?;
    if facts.mode() & 0o007 != 0 {
        return Err(failed()
            .cause("others than its owner may read it")
            .mend(format!("chmod 600 {}; what was in it is to be replaced", path.display())));
    }
    Ok(())
}

fn parse(text: &str) -> std::result::Result<Vec<Token>, String> {
    let mut tokens: Vec<Token> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            continue;
        }
        // The line itself is a secret.
        let wrong = |what: &str| format!("line {number}: {what}");
        let [right, name, token] = words[..] else { return Err(wrong("expected read|write NAME TOKEN")) };
        let right = match right {
            "read" => Right::Read,
            "write" => Right::Write,
            _ => return Err(wrong("it begins with neither read nor write")),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
        if !name.chars().all(is_name) || name.len() > 64 {
            return Err(wrong("a name has letters, digits, and . _ - @"));
        }
        let hash = match token.strip_prefix("sha256:") {
            Some(digits) => of_hex(digits).ok_or_else(|| wrong("expected sha256: and 64 hexadecimal digits"))?,
            None if token.len() < SHORTEST => {
                return Err(wrong(&format!("a token has {SHORTEST} characters or more (openssl rand -hex 32)")));
            }
            None => hash(token),
        };
        if tokens.iter().any(|other| other.name == name || other.hash == hash) {
            return Err(wrong("an earlier line has the same name or token"));
        }
        tokens.push(Token { name: name.to_string(), right, hash });
    }
    if tokens.is_empty() { Err("there is no token in it".to_string()) } else { Ok(tokens) }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    // SHA-256 has 32 bytes.
    hash.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

fn of_hex(digits: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    // `+f` is a number for Rust.
    let mut back = String::new();
    hash.iter().for_each(|byte| _ = write!(back, "{byte:02x}"));
    back.eq_ignore_ascii_case(digits).then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LONG: &str = "0123456789abcdef";

    #[test]
    fn tokens_are_found_by_what_was_written_or_by_their_hash() {
        // echo -n abcdefghijklmnop | sha256sum
        let hashed = "sha256:f39dac6cbaba535e2c207cd0cd8f154974223c848f727f98b3564cea569b41cf";
        let text = format!("# ours\n\nread  prometheus {LONG}\nwrite ci {hashed}\n");
        let tokens = Tokens(parse(&text).unwrap());
        assert_eq!(tokens.find(LONG), Some(("prometheus", Right::Read)));
        assert_eq!(tokens.find("abcdefghijklmnop"), Some(("ci", Right::Write)));
        for other in ["", "0123456789abcde", hashed, &hashed[7..]] {
            assert_eq!(tokens.find(other), None, "{other}");
        }
    }

    #[test]
    fn wrong_lines_are_told_without_their_secrets() {
        for (text, why) in [
            ("", "no token"),
            ("read a", "line 1: expected"),
            ("reads a 0123456789abcdef", "neither"),
            ("read a/b 0123456789abcdef", "a name has"),
            ("read a 0123", "16 characters"),
            ("read a sha256:+f", "64 hexadecimal"),
            ("read a 0123456789abcdef\nwrite b 0123456789abcdef", "line 2: an earlier line"),
            ("read a 0123456789abcdef\nwrite a 1123456789abcdef", "line 2: an earlier line"),
        ] {
            let told = parse(text).unwrap_err();
            assert!(told.contains(why) && !told.contains("0123"), "{text}: {told}");
        }
    }

    #[test]
    fn others_may_not_read_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, format!("read a {LONG}")).unwrap();
        for (mode, refused) in [(0o644, true), (0o602, true), (0o640, false), (0o600, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let read = Tokens::of_file(&path);
            assert_eq!(read.is_err(), refused, "{mode:o}");
        }
    }
}
