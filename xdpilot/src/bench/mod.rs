//! `xdpilot bench`: what a program costs, in nanoseconds a packet over an empty program.

mod harness;
mod measure;
mod mix;
mod plot;
mod subject;
mod sweep;
mod trace;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::{Map, Value};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::link::VERDICTS;
use xdpilot_kernel::cpu::Pinned;

use crate::policy::{Policy, Text};
use crate::source;
use crate::table::{Row, Style, Table};

use measure::{LOADS, Lane, ROUNDS, Spread, Verdicts, measure, verdicts};
use subject::{Running, Subject, of_policy, policy_of, read};
use trace::Trace;

/// Measure what a program costs, in nanoseconds a packet.
///
/// The kernel runs it over a trace of many packets, without any interface. A program that does nothing takes turns
/// with it, and its time is subtracted.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot bench filter.o
  xdpilot bench -e 'drop when udp' --vs examples/udp.c
  xdpilot bench filter.o --trace monday.pcap --vs filter.c --json
  xdpilot bench filter.c --vs id:42
  xdpilot bench acl1.xdp --trace auto
  xdpilot bench acl1.xdp --sweep 1,10,100,1k --svg acl1.svg")]
pub struct Args {
    /// A policy (edge.xdp), an ELF object (prog.o), a C file (prog.c), or the id of a loaded program (id:N)
    #[arg(required_unless_present = "expression", conflicts_with = "expression")]
    source: Option<PathBuf>,
    /// A policy in words: 'drop when udp'; rules are separated by ; or lines
    #[arg(long = "expression", short = 'e', value_name = "POLICY")]
    expression: Option<String>,
    /// The packets: a capture, of which the first 65536 are taken, or auto for 65536 that are drawn from the policy's
    /// rules; without it a built-in mix
    #[arg(long, value_name = "FILE.pcap|auto")]
    trace: Option<PathBuf>,
    /// Measure a policy's first rules, so many of them each time, on packets that are drawn from these
    #[arg(long, value_name = "1,10,100,1k", value_delimiter = ',', value_parser = sweep::count, conflicts_with = "trace")]
    sweep: Vec<usize>,
    /// Draw what the sweep came to
    #[arg(long, value_name = "FILE.svg", requires = "sweep")]
    svg: Option<PathBuf>,
    /// Another program to measure in the same run; may be given several times
    #[arg(long, value_name = "SOURCE")]
    vs: Vec<PathBuf>,
    /// The program's function, where the object has several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
struct Report {
    version: u32,
    trace: String,
    packets: usize,
    cpu: usize,
    loads: usize,
    rounds: usize,
    programs: Vec<Figures>,
    notes: Vec<String>,
}

/// The figures of one program.
#[derive(Clone, Debug, Serialize)]
struct Figures {
    source: String,
    program: String,
    /// Nanoseconds a packet over the empty program.
    ns: Spread,
    /// Of the first program's nanoseconds.
    ratio: f64,
    /// Nanoseconds that the trampoline and the empty program take.
    empty_ns: Spread,
    verdicts: Map<String, Value>,
}

/// Runs the verb.
///
/// # Errors
/// A program cannot be loaded or run, or the trace not be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    if !args.sweep.is_empty() {
        return sweep::run(args, out);
    }
    let (trace, subjects) = match args.trace.as_deref() {
        Some(auto) if auto == Path::new("auto") => {
            let policy = first_policy(args)?;
            (Trace::drawn(&policy.rules), of_policy(&policy)?)
        }
        Some(capture) => (Trace::read(capture)?, first(args)?),
        None => (Trace::mix(), first(args)?),
    };
    let mut subjects = subjects;
    for source in &args.vs {
        subjects.extend(read(source, args.program.as_deref())?);
    }
    let report = report(&trace, &subjects)?;
    print(args.json, &report, out).map_err(|error| Error::failed("print the result").kernel(error.to_string()))
}

/// What is measured first.
fn first(args: &Args) -> Result<Vec<Subject>> {
    match &args.source {
        Some(source) => read(source, args.program.as_deref()),
        None => of_policy(&first_policy(args)?),
    }
}

/// What is measured first, which has to be a policy.
fn first_policy(args: &Args) -> Result<Policy> {
    match (&args.expression, &args.source) {
        (Some(words), _) => policy_of(&Text::of_words(words)),
        (None, Some(source)) => policy_in(source),
        (None, None) => Err(Error::usage("nothing to measure is given")),
    }
}

/// The policy in a file.
fn policy_in(source: &Path) -> Result<Policy> {
    if !source::is_policy(source) {
        return Err(Error::usage(format!("draw packets from {}", source.display()))
            .cause("they are drawn from the rules of a policy, which this is not")
            .mend("xdpilot bench SOURCE --trace FILE.pcap"));
    }
    policy_of(&Text::of_file(source)?)
}

/// What one program came to, load by load.
#[derive(Debug, Default)]
struct Results {
    name: String,
    notes: Vec<String>,
    over: Vec<f64>,
    empty: Vec<f64>,
    verdicts: Verdicts,
}

fn report(trace: &Trace, subjects: &[Subject]) -> Result<Report> {
    let pinned = Pinned::here()?;
    let mut results: Vec<Results> = subjects.iter().map(|_| Results::default()).collect();
    for load in 0..LOADS {
        let running: Vec<Running<'_>> = subjects.iter().map(Subject::load).collect::<Result<_>>()?;
        if load == 0 {
            for (result, running) in results.iter_mut().zip(&running) {
                result.verdicts = verdicts(trace, running.fd())?;
                (result.name, result.notes) = (running.name()?, running.notes().to_vec());
            }
        }
        let lanes = running.iter().map(|running| Lane::new(trace, running.fd()));
        let mut lanes: Vec<Lane<'_>> = lanes.collect::<Result<_>>()?;
        measure(&mut lanes)?;
        for (result, lane) in results.iter_mut().zip(&lanes) {
            let (over, empty) = lane.medians();
            result.over.push(over);
            result.empty.push(empty);
        }
    }
    let mut notes = trace.notes.clone();
    let first = results.first().map_or(f64::NAN, |result| Spread::of(&result.over).median);
    let programs = subjects.iter().zip(results).map(|(subject, result)| figures(subject, result, first, &mut notes));
    let programs = programs.collect();
    let (packets, cpu) = (trace.packets.len(), pinned.cpu());
    Ok(Report { version: 1, trace: trace.name.clone(), packets, cpu, loads: LOADS, rounds: ROUNDS, programs, notes })
}

fn figures(subject: &Subject, result: Results, first: f64, notes: &mut Vec<String>) -> Figures {
    notes.extend(result.notes.iter().map(|note| format!("{}: {note}", subject.source)));
    let ns = Spread::of(&result.over);
    if ns.is_wide() {
        notes.push(format!(
            "{}: between {:.1} and {:.1} ns, load by load: something else keeps this machine busy",
            subject.source, ns.low, ns.high
        ));
    }
    let named = VERDICTS.iter().zip(result.verdicts).filter(|(_, count)| *count > 0);
    Figures {
        source: subject.source.clone(),
        program: result.name,
        ns,
        ratio: ns.median / first,
        empty_ns: Spread::of(&result.empty),
        verdicts: named.map(|(name, count)| ((*name).to_owned(), count.into())).collect(),
    }
}

impl Figures {
    /// A row of the table.
    fn cells(&self) -> Vec<String> {
        let Figures { source, ns, ratio, verdicts, .. } = self;
        let verdicts: Vec<String> = verdicts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let interval = format!("{:.2} to {:.2}", ns.low, ns.high);
        vec![source.clone(), format!("{:.2}", ns.median), interval, format!("{ratio:.2}"), verdicts.join(", ")]
    }
}

fn print(json: bool, report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        return writeln!(out);
    }
    let mut table = Table::new(&["SOURCE", "NS/PACKET", "LOADS", "RATIO", "VERDICTS"]).flexible(&[0, 4]);
    for figures in &report.programs {
        table.push(Row { cells: figures.cells(), details: Vec::new() });
    }
    write!(out, "{}", table.draw(Style::default()))?;
    let empty = report.programs.first().map_or(f64::NAN, |program| program.empty_ns.median);
    writeln!(
        out,
        "over an empty program (which takes {empty:.1} ns with its trampoline); {}, {} packets, {} loads on CPU {}",
        report.trace, report.packets, report.loads, report.cpu
    )?;
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}
