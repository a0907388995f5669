//! `xdpilot unload`: takes programs off.

use std::io::Write;

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use crate::attach::{self, Standing};
use crate::detach::{self, Removed};
use crate::direction::Direction;
use crate::place::{self, Place, Traffic};
use crate::state;
use crate::sweep;
use crate::target::Target;

/// Take programs off interfaces and containers: XDP programs whoever put them there, and those of xdpilot on packets that
/// leave.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot unload --on docker:web
  xdpilot unload --on eth0 --id 42
  xdpilot unload --on eth0 --direction egress")]
pub struct Args {
    /// Where: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all; may be given several times
    #[arg(long = "on", value_name = "TARGET", required = true)]
    targets: Vec<Target>,
    /// Only a program of this name
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// Only the program of this id
    #[arg(long, value_name = "ID")]
    id: Option<u32>,
    /// Packets going to a container, or coming from it
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// Only the program on packets that arrive, or that leave
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Outcome {
    target: String,
    interface: String,
    removed: Vec<Removed>,
}

#[derive(Serialize)]
struct Document {
    version: u32,
    unloaded: Vec<Outcome>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such place, or the kernel refuses to let a program go.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let places = place::resolve_all(&args.targets, args.traffic)?;
    let _lock = state::lock();
    // What a killed command left may use the maps whose pins are to go.
    sweep::sweep();
    let wanted = |standing: &Standing| {
        args.direction.is_none_or(|direction| standing.hook.direction() == direction)
            && args.id.is_none_or(|id| standing.program.id == id)
            && args.program.as_ref().is_none_or(|name| standing.program.name == *name)
    };
    let mut unloaded = Vec::new();
    for place in &places {
        let removed = unload(place, wanted)?;
        unloaded.push(Outcome { target: place.target.clone(), interface: place.interface.name.clone(), removed });
    }
    if (args.id.is_some() || args.program.is_some()) && unloaded.iter().all(|outcome| outcome.removed.is_empty()) {
        return Err(Error::usage("no such program is attached there").mend("xdpilot status"));
    }
    let document = Document { version: 1, unloaded };
    print(args.json, &places, &document, out)
        .map_err(|error| Error::failed("print the result").kernel(error.to_string()))
}

/// Takes the wanted programs off one place.
///
/// # Errors
/// The kernel refuses to let one go.
pub fn unload(place: &Place, wanted: impl Fn(&Standing) -> bool) -> Result<Vec<Removed>> {
    let mut standing = Vec::new();
    for direction in Direction::ALL {
        standing.extend(attach::standing(place, direction)?);
    }
    standing.iter().filter(|one| wanted(one)).map(|one| detach::detach(place, one)).collect()
}

fn print(json: bool, places: &[Place], document: &Document, out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, document)?;
        return writeln!(out);
    }
    for (place, outcome) in places.iter().zip(&document.unloaded) {
        if outcome.removed.is_empty() {
            writeln!(out, "{}: no XDP program is attached", place.label)?;
        }
        for removed in &outcome.removed {
            writeln!(out, "{}: {} (id {}) taken off, {} mode", place.label, removed.program, removed.id, removed.mode)?;
            removed.notes.iter().for_each(|note| eprintln!("note: {note}"));
        }
    }
    Ok(())
}
