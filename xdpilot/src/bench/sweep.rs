//! What policies cost by the number of their rules: the first ones of each, on packets drawn from them.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use super::measure::{LOADS, ROUNDS};
use super::plot::{self, Line};
use super::subject::of_policy;
use super::trace::Trace;
use super::{Args, Figures, Report, first_policy, policy_in, report};
use crate::policy::Policy;
use crate::table::{Row, Style, Table};
use crate::trial::{printed, written};

/// What a sweep came to.
#[derive(Debug, Serialize)]
struct Sweep {
    version: u32,
    cpu: usize,
    loads: usize,
    rounds: usize,
    sweep: Vec<Point>,
    notes: Vec<String>,
}

/// What so many rules came to.
#[derive(Debug, Serialize)]
struct Point {
    rules: usize,
    trace: String,
    packets: usize,
    programs: Vec<Figures>,
}

/// A number of rules: `100`, `10k`.
pub(super) fn count(word: &str) -> std::result::Result<usize, String> {
    let (digits, factor) = match word.to_ascii_lowercase() {
        word if word.ends_with('k') => (word.trim_end_matches('k').to_owned(), 1_000),
        word if word.ends_with('m') => (word.trim_end_matches('m').to_owned(), 1_000_000),
        word => (word, 1),
    };
    let number = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(factor));
    number.filter(|number| *number > 0).ok_or_else(|| "expected numbers of rules: 1,10,100,1k".to_owned())
}

/// Runs the verb with `--sweep`.
///
/// # Errors
/// A source is no policy or has too few rules, or a program cannot be loaded or run.
pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let mut policies = vec![first_policy(args)?];
    for source in &args.vs {
        policies.push(policy_in(source)?);
    }
    let mut counts = args.sweep.clone();
    counts.sort_unstable();
    counts.dedup();
    for policy in &policies {
        check(policy, &counts)?;
    }
    let mut sweep = Sweep { version: 1, cpu: 0, loads: LOADS, rounds: ROUNDS, sweep: Vec::new(), notes: Vec::new() };
    for count in counts {
        let report = point(&policies, count).map_err(|error| error.context(format!("{count} rules")))?;
        let Report { trace, packets, cpu, programs, notes, .. } = report;
        sweep.cpu = cpu;
        sweep.notes.extend(notes.into_iter().map(|note| format!("{count} rules: {note}")));
        sweep.sweep.push(Point { rules: count, trace, packets, programs });
    }
    if let Some(file) = &args.svg {
        written(file, fs::write(file, plot::svg(&lines(&sweep))))?;
    }
    print(args.json, &sweep, out)
}

/// Whether a policy has so many rules.
fn check(policy: &Policy, counts: &[usize]) -> Result<()> {
    let (most, has) = (counts.last().copied().unwrap_or_default(), policy.rules.rules.len());
    if most <= has {
        return Ok(());
    }
    Err(Error::usage(format!("measure the first {most} rules of {}", policy.rules.file))
        .cause(format!("it has {has} rules"))
        .mend(format!("xdpilot bench --sweep {has} …")))
}

/// The first rules of each policy, on packets drawn from those of the first one.
fn point(policies: &[Policy], count: usize) -> Result<Report> {
    let first = policies.iter().cloned().map(|mut policy| {
        Arc::make_mut(&mut policy.rules).rules.truncate(count);
        policy
    });
    let policies: Vec<Policy> = first.collect();
    let mut subjects = Vec::new();
    for policy in &policies {
        subjects.extend(of_policy(policy)?);
    }
    let drawn = policies.first().map(|policy| Trace::drawn(&policy.rules));
    report(&drawn.ok_or_else(|| Error::usage("no policy is given"))?, &subjects)
}

/// A line of the plot for each program.
fn lines(sweep: &Sweep) -> Vec<Line> {
    let sources = sweep.sweep.first().map_or(&[][..], |point| &point.programs);
    let line = |(index, figures): (usize, &Figures)| Line {
        name: figures.source.clone(),
        points: sweep
            .sweep
            .iter()
            .filter_map(|point| point.programs.get(index).map(|figures| (point.rules, figures.ns)))
            .collect(),
    };
    sources.iter().enumerate().map(line).collect()
}

fn print(json: bool, sweep: &Sweep, out: &mut impl Write) -> Result<()> {
    if json {
        let document = serde_json::to_string_pretty(sweep);
        let document = document.map_err(|error| Error::failed("print the result").kernel(error.to_string()))?;
        return printed(writeln!(out, "{document}"));
    }
    let mut table = Table::new(&["RULES", "SOURCE", "NS/PACKET", "LOADS", "RATIO", "VERDICTS"]).flexible(&[1, 5]);
    for Point { rules, programs, .. } in &sweep.sweep {
        for figures in programs {
            let cells = [vec![rules.to_string()], figures.cells()].concat();
            table.push(Row { cells, details: Vec::new() });
        }
    }
    printed(write!(out, "{}", table.draw(Style::default())))?;
    let trace = sweep.sweep.last().map_or("", |point| &point.trace);
    let packets = sweep.sweep.last().map_or(0, |point| point.packets);
    printed(writeln!(
        out,
        "over an empty program; {packets} packets {trace}, anew for each number of rules; {} loads on CPU {}",
        sweep.loads, sweep.cpu
    ))?;
    for note in &sweep.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn numbers_of_rules() {
        assert_eq!(["7", "10k", "2M"].map(count), [Ok(7), Ok(10_000), Ok(2_000_000)]);
        for wrong in ["0", "", "k", "-1", "x", "99999999999999999999k"] {
            assert!(count(wrong).is_err(), "{wrong}");
        }
    }
}
