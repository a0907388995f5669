//! `xdpilot bench`: what a program costs, in nanoseconds a packet over an empty program.

mod harness;
mod measure;
mod mix;
mod trace;

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use serde_json::{Map, Value};
use xdpilot_core::diagnose::Facts;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::link::VERDICTS;
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::cpu::Pinned;
use xdpilot_kernel::program;

use crate::direction::Direction;
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::Input;
use crate::table::{Row, Style, Table};

use measure::{Lane, ROUNDS, Spread, Verdicts, measure, verdicts};
use trace::Trace;

/// Measure what a program costs, in nanoseconds a packet.
///
/// The kernel runs it over a trace of many packets, without any interface. A program that does nothing takes turns
/// with it, and its time is subtracted.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot bench filter.o
  xdpilot bench filter.o --trace monday.pcap --vs filter.c --json
  xdpilot bench filter.c --vs id:42")]
pub struct Args {
    /// An ELF object (prog.o), a C file (prog.c), or the id of a loaded program (id:N)
    source: PathBuf,
    /// The packets: a capture, of which the first 65536 are taken; without it a built-in mix
    #[arg(long, value_name = "FILE.pcap")]
    trace: Option<PathBuf>,
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
    let trace = args.trace.as_deref().map_or_else(|| Ok(Trace::mix()), Trace::read)?;
    let choice = Choice { program: args.program.clone(), section: None, first: false };
    let sources = std::iter::once(&args.source).chain(&args.vs);
    let subjects: Vec<Subject> = sources.map(|source| Subject::load(source, &choice)).collect::<Result<_>>()?;
    let report = report(&trace, &subjects)?;
    print(args.json, &report, out).map_err(|error| Error::failed("print the result").kernel(error.to_string()))
}

/// A program in the kernel that is to be measured.
#[derive(Debug)]
struct Subject {
    source: String,
    name: String,
    held: Held,
    notes: Vec<String>,
}

/// What keeps it in the kernel.
#[derive(Debug)]
enum Held {
    Loaded(Box<Program>),
    Opened(OwnedFd),
}

impl Subject {
    fn load(source: &PathBuf, choice: &Choice) -> Result<Self> {
        let name = source.display().to_string();
        if let Some(id) = name.strip_prefix("id:") {
            return Self::open(&name, id);
        }
        let input = Input::read(source, Direction::Ingress)?;
        let wanted = Wanted { input: &input, choice, bare: true, ifindex: 0, offload: false, verbose: false };
        let record = Record { source: name.clone(), ..Record::default() };
        let facts = Facts { source: Some(name.clone()), ..Facts::default() };
        let mut program = prepare::load(&wanted, &record).map_err(|failure| prepare::refusal(failure, &facts))?;
        let notes = std::mem::take(&mut program.notes);
        let function = program.loaded.info().name.clone();
        Ok(Subject { source: name, name: function, held: Held::Loaded(Box::new(program)), notes })
    }

    fn open(source: &str, id: &str) -> Result<Self> {
        let usage = |cause: &str| Error::usage(format!("measure {source}")).cause(cause).mend("xdpilot status");
        let id: u32 = id.parse().map_err(|_| usage("behind id: stands no number"))?;
        let held = program::open(id)?.ok_or_else(|| usage("there is no program of this id"))?;
        let name = program::ProgramInfo::of_fd(held.as_fd())?.name;
        Ok(Subject { source: source.to_owned(), name, held: Held::Opened(held), notes: Vec::new() })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.held {
            Held::Loaded(program) => program.loaded.entry(),
            Held::Opened(fd) => fd.as_fd(),
        }
    }
}

fn report(trace: &Trace, subjects: &[Subject]) -> Result<Report> {
    let pinned = Pinned::here()?;
    let counts: Vec<Verdicts> = subjects.iter().map(|subject| verdicts(trace, subject.fd())).collect::<Result<_>>()?;
    let mut lanes: Vec<Lane<'_>> =
        subjects.iter().map(|subject| Lane::new(trace, subject.fd())).collect::<Result<_>>()?;
    measure(&mut lanes)?;
    let first = lanes.first().map_or(f64::NAN, |lane| lane.over().median);
    let mut notes = trace.notes.clone();
    let mut programs = Vec::new();
    for ((subject, lane), counts) in subjects.iter().zip(&lanes).zip(counts) {
        notes.extend(subject.notes.iter().map(|note| format!("{}: {note}", subject.source)));
        let ns = lane.over();
        if ns.is_noisy() {
            notes.push(format!(
                "{}: {:.1} to {:.1} ns is all that is known: something else keeps this machine busy",
                subject.source, ns.low, ns.high
            ));
        }
        let named = VERDICTS.iter().zip(counts).filter(|(_, count)| *count > 0);
        programs.push(Figures {
            source: subject.source.clone(),
            program: subject.name.clone(),
            ns,
            ratio: ns.median / first,
            empty_ns: lane.empty(),
            verdicts: named.map(|(name, count)| ((*name).to_owned(), count.into())).collect(),
        });
    }
    let (packets, cpu) = (trace.packets.len(), pinned.cpu());
    Ok(Report { version: 1, trace: trace.name.clone(), packets, cpu, rounds: ROUNDS, programs, notes })
}

fn print(json: bool, report: &Report, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, report)?;
        return writeln!(out);
    }
    let mut table = Table::new(&["SOURCE", "NS/PACKET", "95 %", "RATIO", "VERDICTS"]).flexible(&[0, 4]);
    for Figures { source, ns, ratio, verdicts, .. } in &report.programs {
        let verdicts: Vec<String> = verdicts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let interval = format!("{:.2} to {:.2}", ns.low, ns.high);
        let cells =
            vec![source.clone(), format!("{:.2}", ns.median), interval, format!("{ratio:.2}"), verdicts.join(", ")];
        table.push(Row { cells, details: Vec::new() });
    }
    write!(out, "{}", table.draw(Style::default()))?;
    let empty = report.programs.first().map_or(f64::NAN, |program| program.empty_ns.median);
    writeln!(
        out,
        "over an empty program (which takes {empty:.1} ns with its trampoline); {}, {} packets, {} rounds on CPU {}",
        report.trace, report.packets, report.rounds, report.cpu
    )?;
    for note in &report.notes {
        eprintln!("note: {note}");
    }
    Ok(())
}
