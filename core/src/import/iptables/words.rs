//! The words of a line, as `iptables-restore` takes them apart.

/// Words between blanks; `"` holds several together, `\` before a character is that character.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted => word.extend(characters.next()),
            '"' => (quoted, begun) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => word.push(c),
        }
    }
    if quoted {
        return Err("a \" is not closed".into());
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_and_quotes() {
        assert_eq!(
            split(r#"-A INPUT -m comment --comment "a \"b\" c"  -j DROP"#).unwrap()[4..6],
            ["--comment", "a \"b\" c"]
        );
        assert_eq!(split(r#"a """#).unwrap(), ["a", ""]);
        assert!(split("a \"b").is_err());
    }
}
