//! `xdpilot inspect`: what is in an object, what it needs, and what loading will make of it.

mod needs;
mod report;
mod screen;
mod tables;

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

pub use needs::Need;
pub use report::{FunctionListing, ListedLine, MapFact, ProgramFact, Report, code, inspect};
pub use screen::listing;
pub use tables::{SectionFact, SymbolFact};

use crate::source;

/// Show what is in an object and how it would load.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot inspect prog.o
  xdpilot inspect dropper.c --disasm")]
pub struct Args {
    /// An ELF object (prog.o) or a C file (prog.c), which is compiled with clang
    source: PathBuf,
    /// Show the instructions of every function, with source lines where the object has them
    #[arg(long)]
    disasm: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the verb.
///
/// # Errors
/// The file cannot be read, or is no BPF object.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let source = source::read(&args.source)?;
    let report = inspect(&source.name, &source.elf, args.disasm)?;
    let text = if args.json {
        let json = serde_json::to_string_pretty(&report);
        json.map_err(|error| Error::failed("print the report as JSON").cause(error.to_string()))? + "\n"
    } else {
        screen::draw(&report)
    };
    out.write_all(text.as_bytes()).map_err(|error| Error::failed("print the report").kernel(error.to_string()))
}
