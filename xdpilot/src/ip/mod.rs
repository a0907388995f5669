//! `xdpilot ip`: the words of ip(8)'s xdp option, with the same effects.

mod words;

use std::os::fd::AsFd;
use std::path::Path;

use clap::Args as ClapArgs;
use xdpilot_core::elf;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::program;

use crate::attach::{self, Standing, Wish};
use crate::detach;
use crate::direction::Direction;
use crate::place::{self, Place, Traffic};
use crate::put::{self, Order};
use crate::record::Record;
use crate::source::{self, Input};
use crate::state;
use words::Action;

/// Take the words of ip(8)'s xdp option as they stand, for objects that ip refuses too.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot ip link set dev veth0 xdp obj filter.o sec xdp
  xdpilot ip -force link set dev veth0 xdpgeneric obj filter.o program xdp_filter verbose
  xdpilot ip link set dev veth0 xdp off")]
pub struct Args {
    /// The words of ip(8).
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "WORDS",
        help = "[-force] [-netns NS] link set [dev] IF xdp|xdpdrv|xdpgeneric|xdpoffload obj FILE [sec S] [program P] [verbose] | pinned PATH | off"
    )]
    words: Vec<String>,
}

/// Runs the verb. Like ip(8) it prints nothing where all goes well; notes go to stderr.
///
/// # Errors
/// The words are not ip's, the object does not load, or the kernel refuses.
pub fn run(args: &Args) -> Result<()> {
    let command = words::parse(&args.words)?;
    let places = place::resolve(&command.target, Traffic::To)?;
    let wish = Wish { mode: command.mode, replace: command.force, netlink: true, direction: Direction::Ingress };
    for place in &places {
        let notes = match &command.action {
            Action::Object { file, section, program, verbose } => {
                let choice = choice(section, program.as_deref());
                object(place, file, Order { choice, wish, bare: false, verbose: *verbose, carry: false })?
            }
            Action::Pinned(path) => change(place, wish, Some(path))?,
            Action::Off => change(place, wish, None)?,
        };
        notes.iter().for_each(|note| eprintln!("note: {note}"));
    }
    Ok(())
}

/// As ip does with libbpf: a program's name decides alone, else the section's first program.
fn choice(section: &str, program: Option<&str>) -> Choice {
    match program {
        Some(name) => Choice { program: Some(name.to_string()), ..Choice::default() },
        None => Choice { section: Some(section.to_string()), first: true, ..Choice::default() },
    }
}

fn object(place: &Place, file: &Path, order: Order) -> Result<Vec<String>> {
    let source = source::read(file)?;
    if let Some(section) = &order.choice.section {
        let (object, _) = elf::read(&source.elf).map_err(|error| error.context(&source.name))?;
        if !object.functions.iter().any(|function| function.section == *section) {
            let mut sections: Vec<&str> = object.functions.iter().map(|function| function.section.as_str()).collect();
            sections.dedup();
            return Err(Error::usage(format!("no section {section} with a program in {}", source.name))
                .cause(format!("sections with programs: {}; ip takes `prog` where none is named", sections.join(", ")))
                .mend(format!("add   sec {}", sections.first().unwrap_or(&"SECTION"))));
        }
    }
    let outcomes = put::load(&Input::Object(source), std::slice::from_ref(place), &order)?;
    Ok(outcomes.into_iter().flat_map(|outcome| outcome.notes).collect())
}

/// Attaches a pinned program, or takes off what stands in the mode, and puts back what loading that changed.
fn change(place: &Place, wish: Wish, pin: Option<&Path>) -> Result<Vec<String>> {
    let _lock = state::lock();
    let before = standing_with_records(place)?;
    let pinned = pin.map(program::open_pinned).transpose()?;
    let source = pin.map_or(String::new(), |path| path.display().to_string());
    attach::ask(place, wish, pinned.as_ref().map(|fd| fd.as_fd()), &source)?;
    let now = attach::standing(place, Direction::Ingress)?;
    let mut notes = Vec::new();
    for (gone, record) in before.iter().filter(|(old, _)| now.iter().all(|one| one.program.id != old.program.id)) {
        if let Some(record) = record {
            notes.extend(detach::remove_pins(record, &gone.program)?);
        }
        state::remove_maps(gone.program.id);
        notes.extend(detach::settle_peer(place)?);
    }
    Ok(notes)
}

/// What stands at a place, each with its record, which is gone when the program is.
fn standing_with_records(place: &Place) -> Result<Vec<(Standing, Option<Record>)>> {
    let standing = attach::standing(place, Direction::Ingress)?;
    Ok(standing.into_iter().map(|one| (Record::of(&one.program).ok().flatten(), one)).map(|(r, s)| (s, r)).collect())
}
