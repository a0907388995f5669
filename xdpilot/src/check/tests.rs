//! A policy's `test` blocks.

use xdpilot_core::error::Result;
use xdpilot_core::eval::Machine;
use xdpilot_core::packet;
use xdpilot_core::policy::{Test, TestCase, Verdict};

use super::report::{Case, Got, Tested};
use crate::policy::{Policy, Text};
use crate::trial::{Fate, Testbed, word};

/// When the packets come, in nanoseconds.
const NOW: u64 = 1_000_000_000;

/// Runs a test in the evaluator, and in the kernel where that is wanted.
///
/// # Errors
/// The kernel does not run it.
pub(super) fn run(test: &Test, policy: &Policy, in_kernel: bool, text: &Text) -> Result<Tested> {
    let mut machine = Machine::new(&policy.rules);
    // Each test has limits and samples of its own.
    let testbed = if in_kernel { Some(Testbed::new(policy)?) } else { None };
    let mut cases = Vec::new();
    for case in &test.cases {
        cases.push(one(case, policy, &mut machine, testbed.as_ref(), text)?);
    }
    Ok(Tested { name: test.name.clone(), policy: policy.rules.name.clone(), line: text.line(test.span.start), cases })
}

/// The first packet that the evaluator treats otherwise than tests expect, in words.
///
/// # Errors
/// A packet is none.
pub(crate) fn first_failure(tests: &[Test], policy: &Policy, text: &Text) -> Result<Option<String>> {
    for test in tests {
        let tested = run(test, policy, false, text)?;
        if let Some(case) = tested.cases.iter().find(|case| !case.ok) {
            let by = case.evaluator.text.as_ref().map_or_else(String::new, |rule| format!(" by {rule}"));
            let becomes = case
                .evaluator
                .becomes
                .as_ref()
                .map_or_else(String::new, |(packet, _)| format!(", and becomes {packet}"));
            return Ok(Some(format!(
                "test {:?}, line {}: {} => {} is expected; it is {}{by}{becomes}",
                test.name, case.line, case.packet, case.expected, case.evaluator.verdict
            )));
        }
    }
    Ok(None)
}

fn one(
    case: &TestCase,
    policy: &Policy,
    machine: &mut Machine<'_>,
    testbed: Option<&Testbed>,
    text: &Text,
) -> Result<Case> {
    let parse = |words: &str| packet::parse(words).map_err(|problem| problem.error("test", words));
    let original = parse(&case.packet)?;
    let mut bytes = original.clone();
    let outcome = machine.run(&mut bytes, NOW, None);
    let fate = Fate { verdict: word(&outcome), target: None, rule: outcome.rule, bytes, obstacle: None };
    let kernel = testbed.map(|testbed| testbed.run(&original, NOW)).transpose()?;
    let kernel = kernel.filter(|kernel| kernel.obstacle.is_none());
    let becomes = case.becomes.as_deref().map(parse).transpose()?;
    let changed_otherwise = becomes.filter(|becomes| *becomes != fate.bytes).map(|_| packet::describe(&fate.bytes));
    let as_expected = outcome.verdict == case.verdict && changed_otherwise.is_none();
    let same = kernel.as_ref().is_none_or(|kernel| !kernel.differs(&fate));
    let rule = outcome.rule.and_then(|index| Some((index, policy.rules.rules.get(index)?)));
    let got = Got {
        verdict: said(&outcome.verdict),
        rule: rule.map(|(index, _)| index + 1),
        line: rule.map(|(_, rule)| rule.line).or(Some(policy.rules.default_line).filter(|line| *line > 0)),
        text: rule.map(|(_, rule)| rule.text.clone()),
        becomes: changed_otherwise.map(|packet| (packet, hex(&fate.bytes))),
    };
    Ok(Case {
        line: text.line(case.span.start),
        packet: case.packet.clone(),
        expected: said(&case.verdict),
        becomes: case.becomes.clone(),
        ok: as_expected && same,
        evaluator: got,
        kernel: kernel.map(|kernel| kernel.verdict),
        same,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The verdict as it is written.
fn said(verdict: &Verdict) -> String {
    verdict.to_string()
}
