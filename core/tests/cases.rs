//! The data suite, run by the evaluator: each file of `cases/` has policies, packets, verdicts, and what packets become.
//! The kernel runs the same files in `xdpilot/tests/root_trial.rs`, and a user can: `xdpilot check FILE`.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use xdpilot_core::eval::Machine;
use xdpilot_core::policy::{self, Document, Request, Test};
use xdpilot_core::problem::Problem;
use xdpilot_core::rules::Rules;
use xdpilot_core::{error::Error, packet};

fn files() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    files.into_iter().map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect()
}

fn shown(problems: &[Problem], name: &str, text: &str) -> String {
    problems.iter().map(|problem| problem.show(name, text)).collect::<Vec<_>>().join("\n")
}

fn resolved(document: &Document, test: &Test, name: &str, text: &str) -> Rules {
    let request = Request { policy: test.policy.as_deref(), file: name, inbound: true, resolve: None };
    let mut no_files = |path: &str| Err(Error::usage(format!("read {path}")));
    policy::resolve(document, &request, &mut no_files)
        .unwrap_or_else(|problems| panic!("{}", shown(&problems, name, text)))
}

#[test]
fn every_packet_is_treated_as_expected() {
    const NOW: u64 = 1_000_000_000;
    let mut failures = Vec::new();
    for (name, text) in files() {
        let document = policy::parse(&text).unwrap_or_else(|problems| panic!("{}", shown(&problems, &name, &text)));
        assert!(document.tests.iter().all(|test| !test.cases.is_empty()), "{name}");
        for test in &document.tests {
            let rules = resolved(&document, test, &name, &text);
            let mut machine = Machine::new(&rules);
            for case in &test.cases {
                let mut bytes = packet::parse(&case.packet).unwrap();
                let outcome = machine.run(&mut bytes, NOW, None);
                let becomes = case.becomes.as_ref().map(|words| packet::parse(words).unwrap());
                if outcome.verdict != case.verdict || becomes.is_some_and(|becomes| becomes != bytes) {
                    let got = format!("got {} by {:?}: {bytes:02x?}", outcome.verdict, outcome.rule);
                    failures.push(Problem::new(case.span.clone(), got).show(&name, &text));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn printing_and_formatting_keep_what_a_test_expects() {
    for (name, text) in files() {
        let document = policy::parse(&text).unwrap();
        let again = policy::parse(&document.to_string()).unwrap();
        let formatted = policy::parse(&policy::format(&text).unwrap()).unwrap();
        for other in [again, formatted] {
            let expected = |document: &Document| {
                let cases = document.tests.iter().flat_map(|test| test.cases.clone());
                cases.map(|case| (case.packet, case.verdict, case.becomes)).collect::<Vec<_>>()
            };
            assert_eq!(expected(&document), expected(&other), "{name}");
        }
    }
}
