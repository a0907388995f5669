//! What has to hold for any text.

use xdpilot_core::policy::{self, Element, Request};
use xdpilot_core::problem::Problem;
use xdpilot_core::rules::Rules;
use xdpilot_core::{elf, emit};

/// Takes a text through everything that reads policies; whether it is one.
pub(crate) fn pipeline(text: &str) -> bool {
    // Looking for the nearest of all names of ports is slow: few words are enough.
    let line = text.lines().next().filter(|line| line.len() < 12).unwrap_or_default();
    if let Err(problems) = policy::elements(line) {
        told(line, &problems);
    }
    let document = match policy::parse(text) {
        Ok(document) => document,
        Err(problems) => {
            told(text, &problems);
            assert!(policy::format(text).is_err(), "formatted, but not parsed");
            return false;
        }
    };
    let plain = document.clone().without_places();
    let printed = document.to_string();
    assert_eq!(policy::parse(&printed).map(policy::Document::without_places), Ok(plain.clone()), "printed {printed:?}");
    let formatted = policy::format(text).expect("a text that parses is formatted");
    let again = policy::parse(&formatted).map(policy::Document::without_places);
    assert_eq!(again, Ok(plain), "formatted {formatted:?}");
    assert_eq!(policy::format(&formatted).as_ref(), Ok(&formatted), "formatted twice");
    for rule in document.policies.iter().flat_map(|policy| &policy.rules) {
        let words = text.get(rule.span.clone()).expect("the span of a rule");
        assert!(rule.line > 0 && !words.trim().is_empty(), "a rule without a place");
    }
    for policy in &document.policies {
        resolve(text, &document, &policy.name);
    }
    for warning in policy::lint(&document) {
        told(text, &[warning]);
    }
    true
}

fn resolve(text: &str, document: &policy::Document, name: &str) {
    let request = Request { policy: Some(name), file: "f", inbound: true, resolve: None };
    let mut files = |_: &str| Ok(vec![Element::Ports(1..=2)]);
    match policy::resolve(document, &request, &mut files) {
        Ok(rules) => {
            assert!(rules.rules.iter().all(|rule| !rule.text.contains('\n')), "a rule's text has two lines");
            compile(&rules);
        }
        Err(problems) => told(text, &problems),
    }
}

/// Whatever means something becomes an object, or is too long for a program.
fn compile(rules: &Rules) {
    if let Ok(emit::Compiled { object, .. }) = emit::compile(rules, &emit::Options::default()) {
        assert!(!elf::write(&object).is_empty());
    }
}

/// There is a problem, and it can be shown.
fn told(text: &str, problems: &[Problem]) {
    assert!(!problems.is_empty(), "refused without a word");
    for problem in problems {
        assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len(), "{problem:?} is outside");
        assert!(text.is_char_boundary(problem.span.start) && text.is_char_boundary(problem.span.end), "{problem:?}");
        assert!(problem.show("f", text).contains(&problem.what));
    }
}
