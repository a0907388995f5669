//! What was found. Its JSON form is documented in `docs/json.md`.

use std::fmt::Write;

use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::problem::{Lines, Problem};

use crate::policy::Text;

/// The report.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) version: u32,
    pub(super) policies: Vec<Checked>,
    pub(super) warnings: Vec<Warning>,
    /// What its sets take of memory.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    /// Why nothing ran in the kernel.
    pub(super) unverified: Option<String>,
    pub(super) tests: Vec<Tested>,
}

/// A sound policy.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    pub(super) name: String,
    /// How many.
    pub(super) rules: usize,
    /// Whether the kernel's verifier has accepted it; otherwise it was not asked.
    pub(super) verified: bool,
}

/// What is likely not meant.
#[derive(Debug, Serialize)]
pub(super) struct Warning {
    line: usize,
    text: String,
    hint: Option<String>,
    #[serde(skip)]
    pub(super) shown: String,
}

/// A test.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    pub(super) name: String,
    pub(super) policy: String,
    pub(super) line: usize,
    pub(super) cases: Vec<Case>,
}

/// A packet of a test.
#[derive(Debug, Serialize)]
pub(super) struct Case {
    pub(super) line: usize,
    pub(super) packet: String,
    pub(super) expected: String,
    /// The packet that it should become.
    pub(super) becomes: Option<String>,
    pub(super) ok: bool,
    pub(super) evaluator: Got,
    /// The kernel's verdict, where it was asked.
    pub(super) kernel: Option<&'static str>,
    /// Whether the kernel's verdict and bytes are the evaluator's.
    #[serde(skip)]
    pub(super) same: bool,
}

/// What happened to a packet.
#[derive(Debug, Serialize)]
pub(super) struct Got {
    pub(super) verdict: String,
    /// From 1; none for the default.
    pub(super) rule: Option<usize>,
    pub(super) line: Option<u32>,
    pub(super) text: Option<String>,
    /// Where it became another packet than it should: in words, and in hexadecimal digits.
    pub(super) becomes: Option<(String, String)>,
}

impl Warning {
    pub(super) fn of(problem: &Problem, text: &Text, lines: &Lines) -> Self {
        Warning {
            line: lines.number(problem.span.start),
            text: problem.what.clone(),
            hint: problem.hint.clone(),
            shown: problem.show_among(&text.name, &text.text, lines),
        }
    }
}

impl Report {
    pub(super) fn packets(&self) -> usize {
        self.tests.iter().map(|test| test.cases.len()).sum()
    }

    pub(super) fn failures(&self) -> usize {
        self.tests.iter().flat_map(|test| &test.cases).filter(|case| !case.ok).count()
    }

    pub(super) fn json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        Ok(text.map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))? + "\n")
    }

    pub(super) fn draw(&self) -> String {
        let mut out = String::new();
        for policy in &self.policies {
            let verified = if policy.verified { ", accepted by the kernel's verifier" } else { "" };
            let s = if policy.rules == 1 { "" } else { "s" };
            _ = writeln!(out, "policy {}: {} rule{s}{verified}", policy.name, policy.rules);
        }
        for test in &self.tests {
            let failed: Vec<&Case> = test.cases.iter().filter(|case| !case.ok).collect();
            let (count, word) = (test.cases.len(), if failed.is_empty() { "ok" } else { "FAILED" });
            _ = writeln!(out, "test \"{}\": {count} packets, {word}", test.name);
            failed.into_iter().for_each(|case| draw_failure(case, &mut out));
        }
        out
    }
}

fn draw_failure(case: &Case, out: &mut String) {
    let Got { verdict, rule, line, text, becomes } = &case.evaluator;
    let by = match (rule, line, text) {
        (Some(rule), Some(line), Some(text)) => format!("by rule {rule}, line {line}: {text}"),
        (None, Some(line), _) => format!("by the default, line {line}"),
        _ => "by the default: no rule decided".into(),
    };
    _ = writeln!(out, "  line {}: {}\n    expected {}, got {verdict} {by}", case.line, case.packet, case.expected);
    if let (Some(expected), Some((words, bytes))) = (&case.becomes, becomes) {
        _ = writeln!(out, "    should become {expected}\n    has become {words}\n    bytes {bytes}");
    }
    if let (false, Some(kernel)) = (case.same, case.kernel) {
        _ = writeln!(out, "    the kernel says {kernel}, or changes other bytes: please report it");
    }
}
