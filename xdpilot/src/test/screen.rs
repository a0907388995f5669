//! Lines for people, and those of `--verdicts`.

use std::io::{self, Write};

use xdpilot_core::packet::describe;
use xdpilot_core::pcap::Packet;
use xdpilot_core::rules::Rules;

use super::report::{Report, line};
use crate::table::{Row, Style, Table};
use crate::trial::Fate;

/// The line of `--verdicts`.
pub(super) fn verdict(report: &Report<'_>, fate: &Fate, out: &mut impl Write) -> io::Result<()> {
    write!(out, "{}\t{}\t", report.packets, fate.verdict)?;
    match (report.now(), fate.rule.and_then(|index| report.now()?.rules.get(index))) {
        (None, _) => writeln!(out, "-"),
        (Some(_), Some(rule)) => writeln!(out, "{}", rule.line),
        (Some(_), None) => writeln!(out, "default"),
    }
}

/// A packet and what happened to it.
pub(super) fn packet(report: &Report<'_>, packet: &Packet, fate: &Fate, out: &mut impl Write) -> io::Result<()> {
    let decided = decided(report.now(), fate);
    writeln!(out, "{:>7}  {:<8}  {}{decided}", report.packets, fate.verdict, describe(&packet.bytes))
}

/// A packet whose fate is another one.
pub(super) fn change(
    report: &Report<'_>,
    packet: &Packet,
    before: &Fate,
    after: &Fate,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "{:>7}  {}", report.packets, describe(&packet.bytes))?;
    for (label, rules, fate) in [("before", report.before(), before), ("now", report.now(), after)] {
        writeln!(out, "         {label:<6} {:<8}{}", fate.verdict, decided(rules, fate))?;
    }
    if before.lives() && after.lives() && before.bytes != after.bytes {
        writeln!(out, "         {}", other_bytes(&before.bytes, &after.bytes))?;
    }
    Ok(())
}

/// `   rule 2, line 3: drop when udp`
fn decided(rules: Option<&Rules>, fate: &Fate) -> String {
    let Some(rules) = rules else { return String::new() };
    match fate.rule.and_then(|index| Some((index, rules.rules.get(index)?))) {
        Some((index, rule)) => format!("   rule {}, line {}: {}", index + 1, rule.line, rule.text),
        None => match line(rules, None) {
            Some(line) => format!("   default, line {line}"),
            None => "   default".into(),
        },
    }
}

fn other_bytes(before: &[u8], after: &[u8]) -> String {
    if before.len() != after.len() {
        return format!("{} bytes become {}", before.len(), after.len());
    }
    let differ: Vec<String> = before
        .iter()
        .zip(after)
        .enumerate()
        .filter(|(_, (before, after))| before != after)
        .map(|(at, (before, after))| format!("{at}: {before:02x} -> {after:02x}"))
        .collect();
    let more = if differ.len() > 8 { ", …" } else { "" };
    format!("bytes {}{more}", differ.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(", "))
}

/// The summary.
pub(super) fn end(report: &Report<'_>) -> String {
    let verdicts: Vec<String> =
        report.verdicts.iter().map(|count| format!("{} {}", count.packets, count.verdict)).collect();
    let mut out = match report.packets {
        0 => "no packets\n".into(),
        packets => format!("{packets} packets: {}\n", verdicts.join(", ")),
    };
    if let Some(changes) = &report.changes {
        out = format!("{} of {} packets have another fate\n", changes.len(), report.packets);
    } else if !report.rules.is_empty() {
        let mut table = Table::new(&["RULE", "LINE", "MATCHED", "DECIDED", "TEXT"]);
        for rule in &report.rules {
            let number = rule.rule.map_or_else(|| "-".into(), |number| number.to_string());
            let line = rule.line.map_or_else(|| "-".into(), |line| line.to_string());
            let (matched, decided) = (rule.matched.to_string(), rule.decided.to_string());
            table.push(Row { cells: vec![number, line, matched, decided, rule.text.clone()], details: Vec::new() });
        }
        out = format!("\n{out}\n{}", table.draw(Style::default()));
    } else {
        out = format!("\n{out}");
    }
    if let Some(kernel) = &report.kernel {
        for difference in &kernel.differences {
            let (ours, theirs) = (&difference.evaluator, &difference.kernel);
            out += &format!("packet {}: {}\n", difference.number, difference.packet);
            out += &format!(
                "  evaluator {} {}\n  kernel    {} {}\n",
                ours.verdict, ours.bytes, theirs.verdict, theirs.bytes
            );
        }
        for counter in &kernel.counters {
            let rule = counter.rule.map_or_else(|| "the default".into(), |rule| format!("rule {rule}"));
            out += &format!("{rule} counts {:?}, in the kernel {:?}\n", counter.evaluator, counter.kernel);
        }
        out += &format!("\nkernel: {} packets run, {} differences", kernel.packets, kernel.differences.len());
        out += &match kernel.skipped {
            0 => "\n".into(),
            skipped => format!("; {skipped} that it takes no test run of\n"),
        };
    }
    out
}
