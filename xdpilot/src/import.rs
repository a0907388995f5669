//! `xdpilot import`: rule sets of other tools as policies.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::import::{self, Imported, LeftOut, Request};
use xdpilot_core::policy::Verdict;

use crate::source::{self, Sought};
use crate::trial::{printed, written};

/// Make a policy of another tool's rules.
///
/// What a policy cannot say is listed, and then no policy is written (exit code 1) unless --partial is given: a rule that
/// is missing changes what those behind it mean.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot import acl1_1k -o acl1.xdp
  iptables-save | xdpilot import - --on eth0
  (ipset save; iptables-save) | xdpilot import - --chain raw/PREROUTING -o edge.xdp
  nft -j list ruleset | xdpilot import - --partial --json
  xdpilot import --format cidr --verdict pass office.txt")]
pub struct Args {
    /// ClassBench rules, iptables-save, nft -j list ruleset, ipset save or a list of prefixes; - is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format, where it is not to be recognised from the text
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Write the policy to this file instead of the standard output
    #[arg(long, short, value_name = "OUT.xdp")]
    output: Option<PathBuf>,
    /// Write the policy also where rules are left out
    #[arg(long)]
    partial: bool,
    /// The chain, where several see packets that arrive: INPUT, raw/PREROUTING, inet/filter/input
    #[arg(long, value_name = "TABLE/CHAIN")]
    chain: Option<String>,
    /// The interface that the policy is for; rules about others are not needed then
    #[arg(long, value_name = "INTERFACE")]
    on: Option<String>,
    /// What becomes of packets that match, in formats that do not say it: ClassBench, ipset, lists
    #[arg(long, value_enum, default_value_t = Matched::Drop)]
    verdict: Matched,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The formats.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Classbench,
    Iptables,
    Nft,
    Ipset,
    Cidr,
}

/// Verdicts of formats that have none.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Matched {
    Drop,
    Pass,
}

/// The document of `--json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    version: u32,
    format: &'static str,
    rules: usize,
    sets: usize,
    /// None where it is not written, since something was left out.
    policy: Option<&'a str>,
    left_out: Vec<LeftOutRow<'a>>,
    notes: &'a [String],
}

/// Something that a policy cannot say.
#[derive(Debug, Serialize)]
struct LeftOutRow<'a> {
    line: Option<u32>,
    text: &'a str,
    reason: &'a str,
}

/// Runs the verb.
///
/// # Errors
/// The file cannot be read, has no known format, or (without `--partial`) has something that a policy cannot say.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let (name, text) = read(&args.file)?;
    let request = Request {
        format: args.format.map(Format::of_core),
        name: args.file.file_stem().and_then(|stem| stem.to_str()).filter(|stem| *stem != "-").unwrap_or("list"),
        chain: args.chain.as_deref(),
        interface: args.on.as_deref(),
        verdict: match args.verdict {
            Matched::Drop => Verdict::Drop,
            Matched::Pass => Verdict::Pass,
        },
    };
    let imported = import::import(&text, &request).map_err(|error| error.context(&name))?;
    let whole = args.partial || imported.left_out.is_empty();
    if let Some(output) = args.output.as_ref().filter(|_| whole) {
        written(output, fs::write(output, &imported.policy))?;
    }
    if args.json {
        let document = serde_json::to_string_pretty(&report(&imported, whole));
        let document = document.map_err(|error| Error::failed("print the result").kernel(error.to_string()))?;
        printed(writeln!(out, "{document}"))?;
    } else {
        tell(&name, &imported);
        if whole && args.output.is_none() {
            printed(out.write_all(imported.policy.as_bytes()))?;
        }
    }
    if whole { Ok(()) } else { Err(refusal(&name, &imported, args)) }
}

/// The text of the file, and what messages call it.
fn read(file: &Path) -> Result<(String, String)> {
    let piped = file == Path::new("-");
    let name = if piped { "the standard input".to_owned() } else { file.display().to_string() };
    let bytes = if piped { standard_input()? } else { source::contents(file, Sought::Text)? };
    let text = source::text(&name, bytes)?;
    Ok((name, text))
}

fn standard_input() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = io::stdin().read_to_end(&mut bytes);
    read.map_err(|error| Error::usage("read the standard input").kernel(error.to_string()))?;
    Ok(bytes)
}

fn report(imported: &Imported, whole: bool) -> Report<'_> {
    Report {
        version: 1,
        format: Format::name(imported.format),
        rules: imported.rules,
        sets: imported.sets,
        policy: whole.then_some(imported.policy.as_str()),
        left_out: imported.left_out.iter().map(LeftOutRow::of).collect(),
        notes: &imported.notes,
    }
}

/// What was left out, and what else the user should know.
fn tell(name: &str, imported: &Imported) {
    for LeftOut { line, text, reason } in &imported.left_out {
        let line = line.map_or_else(String::new, |line| format!("{line}:"));
        eprintln!("{name}:{line} left out: {text}\n  {reason}");
    }
    for note in &imported.notes {
        eprintln!("note: {note}");
    }
}

fn refusal(name: &str, imported: &Imported, args: &Args) -> Error {
    let output = args.output.as_ref().map_or_else(String::new, |output| format!(" -o {}", output.display()));
    Error::failed(format!(
        "import {name}: {} of its rules are left out, and no policy is written",
        imported.left_out.len()
    ))
    .cause("a policy cannot say them; without them the rules behind them may decide otherwise")
    .mend(format!("xdpilot import --partial {}{output}   # if that is as it should be", args.file.display()))
}

impl<'a> LeftOutRow<'a> {
    fn of(what: &'a LeftOut) -> Self {
        LeftOutRow { line: what.line, text: &what.text, reason: &what.reason }
    }
}

impl Format {
    fn of_core(self) -> import::Format {
        match self {
            Format::Classbench => import::Format::Classbench,
            Format::Iptables => import::Format::Iptables,
            Format::Nft => import::Format::Nft,
            Format::Ipset => import::Format::Ipset,
            Format::Cidr => import::Format::Cidr,
        }
    }

    fn name(format: import::Format) -> &'static str {
        match format {
            import::Format::Classbench => "classbench",
            import::Format::Iptables => "iptables",
            import::Format::Nft => "nft",
            import::Format::Ipset => "ipset",
            import::Format::Cidr => "cidr",
        }
    }
}
