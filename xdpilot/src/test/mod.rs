//! `xdpilot test`: what a program or policy does with the packets of a capture.

mod compare;
mod report;
mod screen;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_core::pcap::{Packet, Writer};

use crate::capture::Capture;
use crate::policy::Text;
use crate::trial::{Fate, Subject, Tried, printed, written};

use compare::Kernel;
use report::Report;

/// Show what a program or policy does with the packets of a capture; no interface is touched.
///
/// A policy runs in an evaluator, which needs no root, at the times of the packets. An object or C file runs in the
/// kernel, by test runs.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot test edge.xdp --pcap monday.pcap
  xdpilot test -e 'drop when udp' --pcap monday.pcapng.gz --verdicts
  xdpilot test new.xdp --pcap monday.pcap --against old.xdp
  xdpilot test nat.xdp --pcap monday.pcap --out rewritten.pcap
  tcpdump -i eth0 -c 1000 -w - | xdpilot test edge.xdp --pcap - --kernel

The verdicts are aborted, drop, pass, tx, redirect, and invalid for any other number; `reflect` is tx. A packet that the
kernel takes no test run of (shorter than 14 bytes) has -.")]
pub struct Args {
    /// A policy (edge.xdp), an ELF object (prog.o) or a C file (prog.c), which is compiled with clang
    #[arg(required_unless_present = "expression", conflicts_with = "expression")]
    source: Option<PathBuf>,
    /// A policy in words: 'drop when udp'; rules are separated by ; or lines
    #[arg(long = "expression", short = 'e', value_name = "POLICY")]
    expression: Option<String>,
    /// The packets: pcap or pcapng, also gzip's, of an Ethernet interface; - for the standard input
    #[arg(long, value_name = "FILE")]
    pcap: PathBuf,
    /// The policy of that name, where the file has several
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The program's function, where the object has several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// The ELF section of the program
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// Another source: show only the packets whose fate it changes, by verdict or by bytes
    #[arg(long, value_name = "OTHER")]
    against: Option<PathBuf>,
    /// Run the compiled policy in the kernel too, and show every difference
    #[arg(long)]
    kernel: bool,
    /// Write the packets that go on (pass, tx, redirect) to this capture, as they were rewritten
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one line a packet and nothing else: its number, its verdict, and the line of the policy whose rule decided
    /// (`default` for none, `-` for programs), separated by tabs
    #[arg(long, conflicts_with_all = ["json", "against"])]
    verdicts: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// The source or the capture cannot be read; with `--kernel`, the kernel decides otherwise than the evaluator.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let choice = Choice { program: args.program.clone(), section: args.section.clone(), first: false };
    let named = args.policy.as_deref();
    let first = match (&args.source, &args.expression) {
        (Some(path), _) => Tried::file(path, named, &choice)?,
        (None, Some(words)) => Tried::policy(&Text::of_words(words), named)?,
        (None, None) => return Err(Error::usage("no source is given")),
    };
    let other = args.against.as_ref().map(|path| Tried::file(path, None, &Choice::default())).transpose()?;
    let mut kernel = match (args.kernel, first.as_policy()) {
        (false, _) => None,
        (true, Some(policy)) => Some(Kernel::new(policy)?),
        (true, None) => {
            return Err(
                Error::usage("--kernel").cause("it is for policies; objects and C files always run in the kernel")
            );
        }
    };
    let mut run = Run {
        capture: Capture::open(&args.pcap)?,
        subject: first.start(),
        other: other.as_ref().map(Tried::start),
        kernel: kernel.as_mut(),
        writer: args.out.as_deref().map(Output::create).transpose()?,
    };
    let mut report = Report::new(&first, other.as_ref(), args.json);
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let broken = run.all(args, &mut report, &mut out);
    let ended = match broken {
        Err(Stop::Reader) => return Ok(()),
        Err(Stop::Failed(error)) => Some(error),
        Ok(()) => None,
    };
    finish(args, run, report, &mut out)?;
    ended.map_or(Ok(()), Err)
}

/// Prints what is known at the end, also where the capture broke off.
fn finish(args: &Args, run: Run<'_>, mut report: Report<'_>, out: &mut impl Write) -> Result<()> {
    let Run { writer, kernel, subject, .. } = run;
    if let Some(kernel) = kernel {
        report.kernel = Some(kernel.end()?);
    }
    if let Subject::Policy(machine) = &subject {
        report.hits(machine);
    }
    if !args.verdicts {
        let text = if args.json { report.json()? } else { screen::end(&report) };
        printed(out.write_all(text.as_bytes()))?;
    }
    printed(out.flush())?;
    if let (Some(writer), Some(path)) = (writer, &args.out) {
        let count = writer.count;
        written(path, writer.writer.finish())?;
        if !args.verdicts {
            eprintln!("{count} packets that go on (pass, tx, redirect) are in {}", path.display());
        }
    }
    if let Some(obstacle) = &report.obstacle {
        eprintln!("note: some packets could not be run, and are not compared: {obstacle}");
    }
    match report.kernel.as_ref().map_or(0, |kernel| kernel.differences.len() + kernel.counters.len()) {
        0 => Ok(()),
        count => Err(Error::failed(format!("the kernel decides otherwise than the evaluator in {count} cases"))
            .cause("the code generator or the evaluator is wrong: please report it, with policy and capture")),
    }
}

/// A capture that is written.
struct Output {
    writer: Writer<BufWriter<File>>,
    count: u64,
}

impl Output {
    fn create(path: &Path) -> Result<Self> {
        let file = written(path, File::create(path))?;
        let writer = written(path, Writer::new(BufWriter::new(file)))?;
        Ok(Output { writer, count: 0 })
    }
}

/// Why the packets end before the capture does.
enum Stop {
    /// Nobody reads what is printed.
    Reader,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Reader,
            _ => Stop::Failed(Error::failed("print the result").kernel(error.to_string())),
        }
    }
}

/// Everything at work.
struct Run<'a> {
    capture: Capture,
    subject: Subject<'a>,
    other: Option<Subject<'a>>,
    kernel: Option<&'a mut Kernel<'a>>,
    writer: Option<Output>,
}

impl Run<'_> {
    fn all(&mut self, args: &Args, report: &mut Report<'_>, out: &mut impl Write) -> std::result::Result<(), Stop> {
        while let Some(packet) = self.capture.next_packet()? {
            let fate = self.subject.run(&packet)?;
            report.count(&fate);
            if args.verdicts {
                screen::verdict(report, &fate, out)?;
            } else if let Some(other) = &mut self.other {
                let before = other.run(&packet)?;
                if report.change(&packet, &before, &fate) && !args.json {
                    screen::change(report, &packet, &before, &fate, out)?;
                }
            } else if args.json {
                report.keep(&fate);
            } else {
                screen::packet(report, &packet, &fate, out)?;
            }
            if let Some(kernel) = &mut self.kernel {
                kernel.compare(report.packets, &packet)?;
            }
            if let (Some(output), Some(path)) = (&mut self.writer, &args.out)
                && fate.lives()
            {
                written(path, output.writer.write(&rewritten(&packet, fate)))?;
                output.count += 1;
            }
        }
        Ok(())
    }
}

/// The packet with the bytes that it has afterwards.
fn rewritten(packet: &Packet, fate: Fate) -> Packet {
    let grown = (fate.bytes.len() as u32).wrapping_sub(packet.bytes.len() as u32);
    Packet { time: packet.time, length: packet.length.wrapping_add(grown), bytes: fate.bytes }
}
