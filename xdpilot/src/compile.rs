//! `xdpilot compile`: a policy, C file or object becomes an object that any loader takes.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use xdpilot_core::elf;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::{Choice, Machine, Options, modernize};
use xdpilot_core::object::Object;
use xdpilot_kernel::machine;

use crate::direction::Direction;
use crate::inspect;
use crate::policy::{self, Policy, Text};
use crate::source::{self, Source};

/// Turn a policy, a C file or an old object into an object that ip, bpftool and xdp-loader load too.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot compile -e 'drop when udp' -o drop.o
  xdpilot compile edge.xdp --emit asm
  xdpilot compile old.o -o new.o")]
pub struct Args {
    /// A policy (edge.xdp), an ELF object (prog.o) or a C file (prog.c), which is compiled with clang
    #[arg(required_unless_present = "expression", conflicts_with = "expression")]
    source: Option<PathBuf>,
    /// A policy in words: 'drop when udp'; rules are separated by ; or lines
    #[arg(long = "expression", short = 'e', value_name = "POLICY")]
    expression: Option<String>,
    /// The file that is written; - is standard output
    #[arg(long, short, value_name = "FILE", required_if_eq("emit", "object"))]
    output: Option<PathBuf>,
    /// What is written
    #[arg(long, value_enum, default_value_t)]
    emit: Emit,
    /// The policy of that name, where the file has several
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The program's function, where an object has several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// The ELF section of an object's program
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// The packets that a policy is for: those that arrive, or those that leave
    #[arg(long, value_enum, default_value_t)]
    direction: Direction,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What a compilation writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Emit {
    /// An ELF object
    #[default]
    Object,
    /// Its instructions, beside the rules or source lines that they were made of
    Asm,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Document {
    version: u32,
    file: Option<PathBuf>,
    program: String,
    section: String,
    /// Of all functions; a 64-bit load counts as two.
    instructions: usize,
    maps: Vec<String>,
    notes: Vec<String>,
}

/// An object, and what its user should know.
struct Made {
    object: Object,
    entry: usize,
    notes: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The source cannot be read or compiled, or the file not be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let made = make(args)?;
    let bytes = match args.emit {
        Emit::Object => elf::write(&made.object),
        Emit::Asm => asm(&made.object).into_bytes(),
    };
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    match file {
        Some(path) => fs::write(path, bytes)
            .map_err(|error| Error::failed(format!("write {}", path.display())).kernel(error.to_string()))?,
        None => out.write_all(&bytes).map_err(unprinted)?,
    }
    if args.json && file.is_some() {
        let text = serde_json::to_string_pretty(&document(&made, file));
        let text = text.map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))?;
        return writeln!(out, "{text}").map_err(unprinted);
    }
    made.notes.iter().for_each(|note| eprintln!("note: {note}"));
    Ok(())
}

fn unprinted(error: std::io::Error) -> Error {
    Error::failed("print the result").kernel(error.to_string())
}

fn document(made: &Made, file: Option<&Path>) -> Document {
    let entry = &made.object.functions[made.entry];
    Document {
        version: 1,
        file: file.map(Path::to_owned),
        program: entry.name.clone(),
        section: entry.section.clone(),
        instructions: made.object.functions.iter().map(|function| function.code.len()).sum(),
        maps: made.object.maps.iter().map(|map| map.name.clone()).collect(),
        notes: made.notes.clone(),
    }
}

fn make(args: &Args) -> Result<Made> {
    let text = match (&args.expression, &args.source) {
        (Some(words), _) => Text::of_words(words),
        (None, Some(path)) if source::is_policy(path) => Text::of_file(path)?,
        (None, path) => return modern(args, &source::read(path.as_deref().unwrap_or(Path::new("")))?),
    };
    let policy = policy::read(&text, args.policy.as_deref(), args.direction)?;
    let mut notes = policy::memory::notes(&policy.rules, 1);
    notes.append(&mut empty_maps(&policy));
    Ok(Made { object: policy.compile(true)?.object, entry: 0, notes })
}

/// What another loader leaves out: an object cannot carry what is in maps.
fn empty_maps(policy: &Policy) -> Vec<String> {
    let rules = &policy.rules;
    let sets = rules.sets.iter().map(|set| set.name.as_str()).collect();
    let pools = rules.pools.iter().map(|pool| pool.name.as_str()).collect();
    let left_out: [(&str, Vec<&str>); 3] = [
        ("other loaders leave the sets empty", sets),
        ("other loaders do not know where to redirect", rules.targets()),
        ("other loaders leave the pools without backends", pools),
    ];
    let told = left_out.iter().filter(|(_, names)| !names.is_empty());
    told.map(|(what, names)| format!("{what}: {}", some(names))).collect()
}

/// The first names of a list, and how many more there are.
fn some(names: &[&str]) -> String {
    const MOST: usize = 8;
    let first = names[..names.len().min(MOST)].join(", ");
    if names.len() > MOST { format!("{first} and {} more", names.len() - MOST) } else { first }
}

/// An object as it would be loaded.
fn modern(args: &Args, source: &Source) -> Result<Made> {
    if args.policy.is_some() || args.direction == Direction::Egress {
        return Err(Error::usage(format!("compile {}", source.path.display()))
            .cause("--policy and --direction are for policies (F.xdp, or -e); this is a program"));
    }
    let (object, mut notes) = elf::read(&source.elf).map_err(|error| error.context(&source.name))?;
    let possible_cpus = u32::try_from(machine::possible_cpus()?).unwrap_or(u32::MAX);
    let options = Options {
        choice: Choice { program: args.program.clone(), section: args.section.clone(), first: false },
        machine: Machine { possible_cpus, ..Machine::default() },
        ..Options::default()
    };
    let mut modern = modernize(object, &options).map_err(|error| error.context(&source.name))?;
    notes.append(&mut modern.notes);
    Ok(Made { object: modern.object, entry: modern.entry.0, notes })
}

fn asm(object: &Object) -> String {
    let functions: Vec<String> =
        object.functions.iter().map(|function| inspect::listing(&inspect::code(object, function))).collect();
    functions.join("\n")
}
