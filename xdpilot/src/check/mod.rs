//! `xdpilot check`: whether a policy is sound, the kernel takes it, and it does what its tests say.

mod report;
pub(crate) mod tests;

use std::io::Write;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_core::policy::{self, Document};
use xdpilot_core::problem::{Lines, Problem, Span};
use xdpilot_core::{plan, rules::Rules};

use crate::policy::{Policy, Text, memory};
use crate::trial::{PolicyArgs, Testbed, printed, read_policy};

use report::{Checked, Report, Warning};

/// Check a policy: read it, warn of what is likely wrong, let the kernel verify it, run its tests.
///
/// Nothing is attached. The tests run in the evaluator and, as root, in the kernel too. The packets of one test come one
/// after the other at the same moment.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot check edge.xdp
  xdpilot check -e 'drop when udp'

Warnings go to stderr and do not fail. Exit code 1: a test failed, or the kernel refuses the policy. 2: it is no policy.")]
pub struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// The policy is faulty, the kernel refuses it, or a test fails.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let text = args.policy.text()?;
    let report = check(&text)?;
    if !args.json {
        report.warnings.iter().for_each(|warning| eprintln!("warning: {}", warning.shown));
        report.notes.iter().for_each(|note| eprintln!("note: {note}"));
        if let Some(why) = &report.unverified {
            eprintln!("note: not tried in the kernel: {why}");
        }
    }
    printed(out.write_all(if args.json { report.json()? } else { report.draw() }.as_bytes()))?;
    match report.failures() {
        0 => Ok(()),
        count => {
            Err(Error::failed(format!("{count} of {} test packets are not treated as expected", report.packets())))
        }
    }
}

fn check(text: &Text) -> Result<Report> {
    let document = policy::parse(&text.text).map_err(|problems| text.error(&problems))?;
    let policies = policies(&document, text)?;
    let mut report = Report { version: 1, warnings: warnings(&document, &policies, text), ..Report::default() };
    for policy in &policies {
        match Testbed::new(policy) {
            Ok(_) => {}
            Err(error) if error.kind() == Kind::NotPermitted => {
                report.unverified = Some("this user may not load programs; root may".to_owned());
            }
            Err(error) => return Err(error),
        }
        report.notes.extend(memory::notes(&policy.rules, 1));
        let (name, rules) = (policy.rules.name.clone(), policy.rules.rules.len());
        report.policies.push(Checked { name, rules, verified: report.unverified.is_none() });
    }
    for test in &document.tests {
        let policy = match &test.policy {
            Some(name) => policies.iter().find(|policy| policy.rules.name == *name),
            None => policies.first().filter(|_| policies.len() == 1),
        };
        let Some(policy) = policy else {
            let problem = Problem::new(test.span.clone(), "it is not said which policy this test is about");
            return Err(text.error(&[problem.hint("expected: test \"NAME\" on POLICY {")]));
        };
        report.tests.push(tests::run(test, policy, report.unverified.is_none(), text)?);
    }
    Ok(report)
}

/// All policies of the file.
fn policies(document: &Document, text: &Text) -> Result<Vec<Policy>> {
    if document.policies.is_empty() {
        return read_policy(text, None).map(|policy| vec![policy]);
    }
    document.policies.iter().map(|policy| read_policy(text, Some(&policy.name))).collect()
}

/// What is likely not meant.
fn warnings(document: &Document, policies: &[Policy], text: &Text) -> Vec<Warning> {
    let mut problems = policy::lint(document);
    let told = Told::of(&problems);
    for (written, policy) in document.policies.iter().zip(policies) {
        for index in dead(&policy.rules) {
            let Some(rule) = written.rules.get(index) else { continue };
            if !told.within(&rule.span) {
                problems.push(Problem::new(rule.span.clone(), "no packet matches this rule"));
            }
        }
    }
    problems.sort_by_key(|problem| problem.span.start);
    let lines = Lines::of(&text.text);
    problems.iter().map(|problem| Warning::of(problem, text, &lines)).collect()
}

/// Where something is told already.
struct Told {
    /// Where problems begin, ascending, and how far those up to each reach.
    reach: Vec<(usize, usize)>,
}

impl Told {
    /// What these problems, in file order, tell of.
    fn of(problems: &[Problem]) -> Self {
        let reach = problems.iter().scan(0, |reach, problem| {
            *reach = problem.span.end.max(*reach);
            Some((problem.span.start, *reach))
        });
        Told { reach: reach.collect() }
    }

    /// Whether any of them is within a span, in part at least.
    fn within(&self, span: &Span) -> bool {
        let before = self.reach.partition_point(|(begin, _)| *begin < span.end);
        before.checked_sub(1).is_some_and(|last| span.start < self.reach[last].1)
    }
}

/// The rules that never act.
fn dead(rules: &Rules) -> Vec<usize> {
    plan::plan(rules, plan::Options::default()).dead
}
