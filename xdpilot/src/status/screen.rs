//! A snapshot as text for people.

use super::snapshot::{
    Hits, InterfaceStatus, Owner, PolicyStatus, PoolStatus, ProgramStatus, RuleStatus, Runs, Snapshot, VerdictCount,
};
use crate::table::{Row, Style, Table};
use crate::when;

const HEADER: [&str; 9] = ["INTERFACE", "WHERE", "PROGRAM", "ID", "TAG", "MODE", "OWNER", "SINCE", "SOURCE"];
/// Columns that give way first on a narrow terminal: WHERE, PROGRAM, OWNER, SOURCE.
const FLEXIBLE: [usize; 4] = [1, 2, 6, 8];
/// What this user may not see.
const HIDDEN: &str = "?";

/// The table of a snapshot.
pub fn draw(snapshot: &Snapshot, style: Style) -> String {
    if snapshot.interfaces.is_empty() {
        return "no XDP program is attached\n".to_string();
    }
    let mut table = Table::new(&HEADER).flexible(&FLEXIBLE);
    for interface in &snapshot.interfaces {
        if interface.programs.is_empty() {
            let head = [interface.interface.clone(), interface.place.join(", "), "none".to_string()];
            table.push(Row { cells: head.into(), details: Vec::new() });
        }
        for program in &interface.programs {
            table.push(row(interface, program));
        }
    }
    table.draw(style)
}

fn row(interface: &InterfaceStatus, program: &ProgramStatus) -> Row {
    let or_hidden = |text: Option<String>| text.unwrap_or_else(|| HIDDEN.to_string());
    let cells = vec![
        interface.interface.clone(),
        interface.place.join(", "),
        or_hidden(program.name.clone()),
        program.id.to_string(),
        or_hidden(program.tag.clone()),
        program.mode.clone(),
        owner(&program.owner),
        or_hidden(program.loaded_at.map(when::local)),
        program.source.clone().unwrap_or_else(|| "-".to_string()),
    ];
    let mut details: Vec<String> = program.verdicts.iter().map(|verdicts| counts(verdicts)).collect();
    details.extend(program.policy.iter().flat_map(policy));
    details.extend(program.runs.map(runs));
    for (at, component) in program.components.iter().enumerate() {
        let name = component.name.as_deref().unwrap_or(HIDDEN);
        details.push(format!("{}. {name} (id {})", at + 1, component.id));
    }
    Row { cells, details }
}

fn owner(owner: &Owner) -> String {
    match owner {
        Owner::Netlink => "netlink".to_string(),
        Owner::Hidden => HIDDEN.to_string(),
        Owner::Link { id, pins, processes } if pins.is_empty() && processes.is_empty() => format!("link {id}"),
        Owner::Link { pins, processes, .. } => {
            let pins = pins.iter().map(|path| path.display().to_string());
            let processes = processes.iter().map(|process| format!("{} (pid {})", process.comm, process.pid));
            pins.chain(processes).collect::<Vec<_>>().join(", ")
        }
    }
}

/// `pass 12, 1.2 kB (3/s, 300 B/s); drop …`: the verdicts that occurred, with packets and bytes.
fn counts(verdicts: &[VerdictCount]) -> String {
    let seen: Vec<String> = verdicts
        .iter()
        .filter(|count| count.packets > 0)
        .map(|count| {
            let VerdictCount { packets, bytes, packets_per_second, bytes_per_second, .. } = *count;
            format!("{} {}", count.verdict, hits(Hits { packets, bytes, packets_per_second, bytes_per_second }))
        })
        .collect();
    if seen.is_empty() { "verdicts: no packet yet".to_string() } else { format!("verdicts: {}", seen.join("; ")) }
}

/// A line for each rule, named counter, set and pool of a policy.
fn policy(policy: &PolicyStatus) -> Vec<String> {
    let rule = |rule: &RuleStatus| match rule.line {
        0 => format!("{}: {}", rule.text, hits(rule.hits)),
        line => format!("line {line}: {}: {}", rule.text, hits(rule.hits)),
    };
    let rules = policy.rules.iter().map(rule);
    let counters = policy.counters.iter().map(|counter| format!("count {}: {}", counter.name, hits(counter.hits)));
    let sets = policy.sets.iter().map(|set| match set.elements {
        1 => format!("set {}: 1 element", set.name),
        more => format!("set {}: {more} elements", set.name),
    });
    let pools = policy.pools.iter().map(|pool| {
        let PoolStatus { name, up, drains, down } = pool;
        format!("pool {name}: {up} up, {drains} drain, {down} down")
    });
    rules.chain(counters).chain(sets).chain(pools).collect()
}

/// `12, 1.2 kB (3/s, 300 B/s)`: packets and bytes, and their rates where they are known.
fn hits(hits: Hits) -> String {
    let total = format!("{}, {}B", hits.packets, short(hits.bytes as f64));
    match (hits.packets_per_second, hits.bytes_per_second) {
        (Some(packets), Some(bytes)) => format!("{total} ({}/s, {}B/s)", short(packets).trim_end(), short(bytes)),
        _ => total,
    }
}

fn runs(runs: Runs) -> String {
    match runs.ns_per_run {
        Some(ns) => format!("runs: {} in the interval, {ns:.0} ns each", runs.count),
        None => "runs: none in the interval".to_string(),
    }
}

/// A number with a space and an SI prefix: `12 `, `3.4 `, `1.2 k`, `56 M`.
fn short(number: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E"];
    let (mut scaled, mut at) = (number, 0);
    while scaled >= 999.5 && at + 1 < prefixes.len() {
        (scaled, at) = (scaled / 1000.0, at + 1);
    }
    let digits = usize::from(scaled < 9.95 && scaled.fract() != 0.0);
    format!("{scaled:.digits$} {}", prefixes[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [(0.0, "0 "), (3.44, "3.4 "), (12.6, "13 "), (999.6, "1.0 k"), (1_200.0, "1.2 k"), (56e6, "56 M")];
        for (number, text) in cases {
            assert_eq!(short(number), text);
        }
        assert_eq!(short(u64::MAX as f64), "18 E");
    }
}
