//! A strict reader of the text format of Prometheus, version 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a page, by name and labels.
#[derive(Debug, Default)]
pub(crate) struct Page(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Page {
    /// Reads a page; anything that is not as it should be fails.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Page {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut page = Page::default();
        let (mut current, mut kind, mut seen) = (String::new(), String::new(), BTreeSet::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, words) = help.split_once(' ').unwrap();
                assert!(is_name(name) && !words.is_empty(), "{line}");
                assert!(seen.insert(name.to_string()), "{name} comes twice");
                (current, kind) = (name.to_string(), String::new());
            } else if let Some(typed) = line.strip_prefix("# TYPE ") {
                let (name, word) = typed.split_once(' ').unwrap();
                assert!(name == current && kind.is_empty(), "{line}");
                assert!(["counter", "gauge"].contains(&word), "{line}");
                assert_eq!(word == "counter", name.ends_with("_total"), "counters end with _total: {line}");
                kind = word.to_string();
            } else {
                let (name, labels, value) = sample(line);
                assert!(name == current && !kind.is_empty(), "{line} stands outside of its metric");
                let value: f64 = value.parse().unwrap();
                assert!(value.is_finite() && (kind == "gauge" || value >= 0.0), "{line}");
                assert!(page.0.insert((name, labels), value).is_none(), "{line} comes twice");
            }
        }
        page
    }

    /// The value of the only sample of a name that has these labels.
    #[track_caller]
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| all.get(*label).is_some_and(|is| is == value))
        };
        let found: Vec<f64> =
            self.0.iter().filter(|((is, all), _)| is == name && has(all)).map(|(_, value)| *value).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?} among {:#?}", self.0);
        found[0]
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> (String, BTreeMap<String, String>, String) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_string(), value).is_none(), "{line}");
            match after.split_at(1) {
                (",", more) => rest = more,
                ("}", more) => {
                    rest = more;
                    break;
                }
                _ => panic!("{line}"),
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap();
    assert!(!value.contains(' '), "{line}");
    (name.to_string(), labels, value.to_string())
}

/// A value up to its quote, and what stands behind.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next().unwrap().1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                c => panic!("\\{c} means nothing"),
            }),
            c => value.push(c),
        }
    }
    panic!("no end: {text}")
}
