//! The one line of a verifier log that tells why a program was refused, and where.
//!
//! A log is a walk: source annotations `; text @ file.c:12`, instructions `6: (71) r1 = …`, register
//! states; then the verdict; then statistics. Since Linux 7.3 a report with Reason, At, Causal path
//! and Suggestion follows the verdict. The words are those of `kernel/bpf/verifier.c` and `log.c`.

use super::{verifier, verifier_rules};
use std::fmt;

/// Why the verifier refused a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The line that says why.
    pub line: String,
    /// The index of the instruction that it speaks of, counted from the start of the program.
    pub insn: Option<usize>,
    /// The source line of that instruction, where the object has line information.
    pub source: Option<Source>,
    /// The kernel's own explanation (Linux 7.3 and later).
    pub reason: Option<String>,
    /// The kernel's own advice (Linux 7.3 and later).
    pub suggestion: Option<String>,
}

/// A line of source code, as the log quotes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The text of the line, trimmed.
    pub text: String,
    /// File and line number, counted from 1; kernels before 6.9 do not name them.
    pub place: Option<(String, usize)>,
}

impl fmt::Display for Telling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.line)?;
        if let Some(insn) = self.insn {
            write!(f, "\nat instruction {insn}")?;
        }
        match &self.source {
            Some(Source { text, place: Some((file, line)) }) => write!(f, "\n{file}:{line}: {text}"),
            Some(Source { text, place: None }) => write!(f, "\nsource: {text}"),
            None => Ok(()),
        }
    }
}

/// What a line of the log is.
enum Part<'a> {
    /// `; if (data + 1 > data_end) @ prog.c:12`, after an instruction or on its own.
    Source(Source),
    /// `6: (71) r1 = *(u8 *)(r1 +23)`, with the annotation of the next one behind it at times.
    Insn(usize, Option<Source>),
    /// States, statistics, headings.
    Noise,
    /// Anything else: the verdict is among these.
    Message(&'a str),
}

/// Lines that begin so never tell the reason.
const NOISE: &[&str] = &[
    "processed ",
    "verification time",
    "stack depth",
    "func#",
    "live regs before",
    "validating ",
    "from ",
    "cur state:",
    "old state:",
    "caller:",
    "callee:",
    "returning from",
    "to caller at",
    "last_idx ",
    "first_idx ",
    "mark_precise",
    "regs=",
    "parent didn't",
    "parent already",
    "propagating ",
    "libbpf:",
    "-- ",
    "max_states_per_insn",
    "error:",
    "warning:",
    "if it used to work",
];

/// Verdicts on the whole program, which no instruction stands for.
const WHOLE: &[&str] = &["combined stack size", "last insn is not"];

/// Finds the telling line of a verifier log; `None` where the text is no such log.
///
/// The log may come whole, cut at its head, or within libbpf's messages.
pub fn telling(text: &str) -> Option<Telling> {
    let log = program_log(text);
    let (walk, report) = match log.find("Verification failed:") {
        Some(at) => log.split_at(at),
        None => (log, ""),
    };
    let parts: Vec<Part<'_>> = walk.lines().map(part).collect();
    let is_log = log.len() < text.len()
        || !report.is_empty()
        || log.lines().any(|line| line.starts_with("processed ") && line.contains(" insns"))
        || parts.iter().any(|part| matches!(part, Part::Insn(..)));
    if !is_log {
        return None;
    }
    let (at, line) = verdict(&parts).or_else(|| report.lines().next().map(|title| (parts.len(), title)))?;
    let insn = insn_of(line, &parts[..at]).or_else(|| report.lines().find_map(insn_named));
    Some(Telling {
        line: line.to_string(),
        insn,
        source: insn.and_then(|insn| source_of(insn, &parts[..at])),
        reason: section(report, "Reason:"),
        suggestion: section(report, "Suggestion:"),
    })
}

/// The part between libbpf's last `BEGIN PROG LOAD LOG` and its end, or everything.
fn program_log(text: &str) -> &str {
    let Some((_, log)) = text.rsplit_once("-- BEGIN PROG LOAD LOG --") else { return text };
    log.split_once("-- END PROG LOAD LOG --").map_or(log, |(log, _)| log)
}

fn part(line: &str) -> Part<'_> {
    let line = line.trim();
    if let Some(text) = line.strip_prefix(';') {
        return Part::Source(source(text));
    }
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if let (Ok(insn), Some(rest)) = (line[..digits].parse(), line[digits..].strip_prefix(':')) {
        // libbpf puts `60: <invalid CO-RE relocation>` in place of an instruction that it poisoned.
        return match rest.trim_start().starts_with(['(', '<']) {
            true => Part::Insn(insn, next_source(rest)),
            false => Part::Noise,
        };
    }
    match line.is_empty() || is_noise(line) {
        true => Part::Noise,
        false => Part::Message(line),
    }
}

/// An annotation that stands behind an instruction whose state was not printed.
fn next_source(rest: &str) -> Option<Source> {
    let (_, text) = rest.split_once(" ; ")?;
    Some(source(text)).filter(|source| source.place.is_some())
}

fn source(text: &str) -> Source {
    let place = text.rsplit_once(" @ ").and_then(|(text, place)| {
        let (file, line) = place.rsplit_once(':')?;
        Some((text, (file.to_string(), line.trim().parse().ok()?)))
    });
    match place {
        Some((text, place)) => Source { text: text.trim().to_string(), place: Some(place) },
        None => Source { text: text.trim().to_string(), place: None },
    }
}

fn is_noise(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    NOISE.iter().any(|start| lower.starts_with(start))
        || (lower.starts_with("arg#") && lower.contains("reference type"))
        || lower.contains("is global and assumed valid")
        || lower.contains("is safe for any args that match")
        || is_state(&lower)
}

/// `R1=ctx() R10=fp0`, `R1_w=…`, ` frame1: R0=…`.
fn is_state(lower: &str) -> bool {
    let number = |rest: &str| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        (after.len() < rest.len()).then(|| after.chars().next()).flatten()
    };
    lower.strip_prefix("frame").and_then(number) == Some(':')
        || matches!(lower.strip_prefix('r').and_then(number), Some('=' | '_'))
}

/// The last run of messages without an instruction between: its first known line, else its first.
fn verdict<'a>(parts: &[Part<'a>]) -> Option<(usize, &'a str)> {
    let end = parts.iter().rposition(|part| matches!(part, Part::Message(_)))?;
    let start = parts[..end].iter().rposition(|part| matches!(part, Part::Insn(..) | Part::Source(_)));
    let start = start.map_or(0, |at| at + 1);
    let mut run = (start..=end).filter_map(|at| match parts[at] {
        Part::Message(line) => Some((at, line)),
        _ => None,
    });
    run.clone().find(|(_, line)| is_known(line)).or_else(|| run.next())
}

fn is_known(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    verifier::ROWS.iter().chain(verifier_rules::ROWS).any(|row| row.is_named_by(&lower))
}

/// The instruction that a verdict names, or the last one walked before it.
fn insn_of(line: &str, before: &[Part<'_>]) -> Option<usize> {
    insn_named(line).or_else(|| {
        let whole = WHOLE.iter().any(|start| line.starts_with(start));
        let last = before.iter().rev().find_map(|part| match part {
            Part::Insn(insn, _) => Some(*insn),
            _ => None,
        });
        last.filter(|_| !whole)
    })
}

/// The number in `at insn 5`, `unreachable insn 5`, `alloc_insn=5`.
fn insn_named(line: &str) -> Option<usize> {
    line.match_indices("insn").find_map(|(at, word)| {
        let digits = line[at + word.len()..].strip_prefix([' ', '='])?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    })
}

/// The annotation before the last walk over this instruction.
fn source_of(insn: usize, before: &[Part<'_>]) -> Option<Source> {
    let at = before.iter().rposition(|part| matches!(part, Part::Insn(index, _) if *index == insn))?;
    before[..at].iter().rev().find_map(|part| match part {
        Part::Source(source) | Part::Insn(_, Some(source)) => Some(source.clone()),
        _ => None,
    })
}

/// The indented text under a heading of the report, as one line.
fn section(report: &str, heading: &str) -> Option<String> {
    let lines = report.lines().skip_while(|line| line.trim_end() != heading).skip(1);
    let words: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).map(str::trim).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
