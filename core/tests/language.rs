//! The examples of `docs/language.md`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

use xdpilot_core::error::Error;
use xdpilot_core::eval::Machine;
use xdpilot_core::packet;
use xdpilot_core::policy::{self, Document, Request};
use xdpilot_core::problem::Problem;

fn examples() -> Vec<&'static str> {
    let page = include_str!("../../docs/language.md");
    page.split("```xdp\n").skip(1).map(|rest| rest.split("```").next().expect("an end")).collect()
}

fn shown(problems: &[Problem], text: &str) -> String {
    problems.iter().map(|problem| problem.show("example", text) + "\n").collect()
}

fn parsed(text: &str) -> Document {
    policy::parse(text).unwrap_or_else(|problems| panic!("{}", shown(&problems, text)))
}

#[test]
fn the_examples_are_formatted() {
    assert!(examples().len() >= 8);
    for text in examples() {
        let formatted = policy::format(text).unwrap_or_else(|problems| panic!("{}", shown(&problems, text)));
        assert_eq!(formatted, text);
        let document = parsed(text);
        assert_eq!(parsed(&document.to_string()).without_places(), document.without_places());
    }
}

#[test]
fn their_tests_hold() {
    let mut cases = 0;
    for text in examples() {
        let document = parsed(text);
        for test in &document.tests {
            let request = Request { policy: test.policy.as_deref(), file: "example", inbound: true, resolve: None };
            let mut files = |path: &str| Err(Error::failed(path));
            let rules = policy::resolve(&document, &request, &mut files);
            let rules = rules.unwrap_or_else(|problems| panic!("{}", shown(&problems, text)));
            let mut machine = Machine::new(&rules);
            for case in &test.cases {
                let mut bytes = packet::parse(&case.packet).unwrap();
                let outcome = machine.run(&mut bytes, 0, None);
                assert_eq!(outcome.verdict, case.verdict, "{}: {}", test.name, case.packet);
                cases += 1;
            }
        }
    }
    assert!(cases >= 30, "only {cases} packets");
}
