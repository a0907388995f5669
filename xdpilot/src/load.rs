//! `xdpilot load`: puts a program on interfaces and containers.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_core::pass;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::pins;

use crate::attach::{self, Attached, Old, Wish};
use crate::companion;
use crate::detach;
use crate::direction::{Direction, Hook};
use crate::place::{self, Place, Traffic};
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::{self, Source};
use crate::state;
use crate::sweep;
use crate::target::Target;

/// Put a program on interfaces and containers.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot load dropper.c --on docker:web
  xdpilot load xdp_prog.o --on eth0 --program xdp_filter --mode native
  xdpilot load filter.o --on netns:blue/veth0 --on eth1 --replace")]
pub struct Args {
    /// An ELF object (prog.o) or a C file (prog.c), which is compiled with clang
    source: PathBuf,
    /// Where: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all; may be given several times
    #[arg(long = "on", value_name = "TARGET", required = true)]
    targets: Vec<Target>,
    /// The program's function, where the object has several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// The ELF section of the program
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// How the program runs; auto tries native and falls back to generic
    #[arg(long, value_enum, default_value_t)]
    mode: ModeWish,
    /// Packets going to a container, or coming from it
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// The packets that the program sees: those that arrive, or (policies only) those that leave
    #[arg(long, value_enum, default_value_t)]
    direction: Direction,
    /// Take the place of the program that stands there, with no packet unfiltered in between
    #[arg(long)]
    replace: bool,
    /// Leave the program as it is: no counting of its verdicts
    #[arg(long)]
    bare: bool,
    /// Show all that libbpf and the verifier say
    #[arg(long, short)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The modes as words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeWish {
    /// Native, or generic where native is refused
    #[default]
    Auto,
    /// In the driver, before the kernel allocates anything for the packet
    Native,
    /// In the kernel's stack, on any interface, slower
    Generic,
    /// On the network card
    Offload,
}

impl ModeWish {
    fn mode(self) -> Option<Mode> {
        match self {
            ModeWish::Auto => None,
            ModeWish::Native => Some(Mode::Native),
            ModeWish::Generic => Some(Mode::Generic),
            ModeWish::Offload => Some(Mode::Offload),
        }
    }
}

/// What is to be done, apart from how it was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which program.
    pub choice: Choice,
    /// How it is attached.
    pub wish: Wish,
    /// Leave it as it is.
    pub bare: bool,
    /// Show all that libbpf and the verifier say.
    pub verbose: bool,
}

/// What was done at one place.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The target as it was named.
    pub target: String,
    /// The target and the interface, for people.
    #[serde(skip)]
    pub label: String,
    /// The interface.
    pub interface: String,
    /// The program's name.
    pub program: String,
    /// Its id.
    pub id: u32,
    /// Its tag.
    pub tag: String,
    /// The mode: native, generic or offload.
    pub mode: String,
    /// Where its link is pinned; none for an attachment by netlink.
    pub link: Option<PathBuf>,
    /// Whether its verdicts are counted.
    pub counted: bool,
    /// The id of the program that it took the place of.
    pub replaced: Option<u32>,
    /// What the user should know.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    attached: &'a [Outcome],
}

/// Runs the verb.
///
/// # Errors
/// Nothing is attached then that was not before.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let source = source::read(&args.source)?;
    let places = place::resolve_all(&args.targets, args.traffic)?;
    let order = Order {
        choice: Choice { program: args.program.clone(), section: args.section.clone(), first: false },
        wish: Wish { mode: args.mode.mode(), replace: args.replace, netlink: false, direction: args.direction },
        bare: args.bare,
        verbose: args.verbose,
    };
    let outcomes = load(&source, &places, &order)?;
    print(args.json, &outcomes, out).map_err(|error| Error::failed("print the result").kernel(error.to_string()))
}

fn print(json: bool, outcomes: &[Outcome], out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Document { version: 1, attached: outcomes })?;
        return writeln!(out);
    }
    for outcome in outcomes {
        let Outcome { label, program, id, mode, .. } = outcome;
        let verb = if outcome.replaced.is_some() { "replaced" } else { "attached" };
        writeln!(out, "{label}: {program} (id {id}) {verb}, {mode} mode")?;
        for note in &outcome.notes {
            eprintln!("note: {note}");
        }
    }
    Ok(())
}

/// One place with the program that was put there.
struct Done<'a> {
    place: &'a Place,
    old: Option<Old>,
    program: Program,
    attached: Attached,
    /// Whether it brought its companion to the other end of the veth pair.
    accompanied: bool,
}

/// Puts the program on every place, or on none.
///
/// # Errors
/// All places are as before.
pub fn load(source: &Source, places: &[Place], order: &Order) -> Result<Vec<Outcome>> {
    let _lock = pins::ensure_mounted().ok().and_then(|()| state::lock());
    sweep::sweep();
    // All places are looked at before anything is done to one.
    let standing: Vec<_> = places.iter().map(|place| attach::free(place, order.wish)).collect::<Result<_>>()?;
    let mut done: Vec<Done<'_>> = Vec::new();
    for (place, old) in places.iter().zip(standing) {
        match put(source, place, old, order) {
            Ok(one) => done.push(one),
            Err(error) => {
                done.iter().rev().for_each(undo);
                return Err(error);
            }
        }
    }
    Ok(done.into_iter().map(finish).collect())
}

/// Loads the program for one place, attaches it there, and does what must be done around it.
fn put<'a>(source: &Source, place: &'a Place, old: Option<Old>, order: &Order) -> Result<Done<'a>> {
    let program = prepare_one(source, place, old.as_ref(), order)?;
    let id = program.loaded.info().id;
    let attached = keep_maps(&program).and_then(|()| attach::attach(place, &program, order.wish, old.as_ref()));
    let attached = attached.inspect_err(|_| state::remove_maps(id))?;
    let mut done = Done { place, old, program, attached, accompanied: false };
    match settle(&mut done) {
        Ok(()) => Ok(done),
        Err(error) => {
            undo(&done);
            Err(error)
        }
    }
}

fn prepare_one(source: &Source, place: &Place, old: Option<&Old>, order: &Order) -> Result<Program> {
    let before = old.and_then(|old| Record::of(&old.standing.program).ok().flatten()).unwrap_or_default();
    let record = Record { source: source.path.display().to_string(), target: place.target.clone(), ..before };
    let wanted = Wanted {
        elf: &source.elf,
        name: &source.name,
        choice: &order.choice,
        bare: order.bare,
        ifindex: place.interface.index,
        offload: order.wish.mode == Some(Mode::Offload),
        verbose: order.verbose,
    };
    // Programs that are bound to a device are loaded where the device is.
    let loaded = place.namespace.run(|| Ok(prepare::load(&wanted, &record)))?;
    if order.verbose {
        let log = loaded.as_ref().map_or_else(|failure| failure.log.as_str(), |program| program.loaded.log());
        eprintln!("{}", log.trim_end());
    }
    loaded.map_err(|failure| prepare::refusal(failure, &place.facts(order.wish.mode, &record.source)))
}

/// Pins what the kernel would forget when this process ends.
fn keep_maps(program: &Program) -> Result<()> {
    if program.keep.is_empty() {
        return Ok(());
    }
    let folder = state::maps_folder(program.loaded.info().id);
    pins::ensure_mounted()?;
    state::make_folder(&folder)?;
    for name in &program.keep {
        program.loaded.map(name)?.pin(&folder.join(name))?;
    }
    Ok(())
}

/// Pins what the object asks for, and prepares the veth peer.
fn settle(done: &mut Done<'_>) -> Result<()> {
    let Done { place, program, attached, accompanied, .. } = done;
    for (name, path) in &program.pins {
        let path = state::reachable(path);
        if let Some(folder) = path.parent() {
            state::make_folder(folder)?;
        }
        program.loaded.map(name)?.pin(&path)?;
    }
    if program.sends && attached.hook == Hook::Xdp(Mode::Native) {
        match companion::accompany(place) {
            Ok(false) => {}
            Ok(true) => {
                *accompanied = true;
                attached.notes.push(format!(
                    "put {} at the other end of the veth pair, or frames sent back would be lost; unload takes it off",
                    pass::NAME
                ));
            }
            Err(error) => attached.notes.push(format!("frames that it sends back will be lost: {error}")),
        }
    }
    Ok(())
}

/// Takes back what was done at one place, since another failed.
fn undo(done: &Done<'_>) {
    let Done { place, old, program, attached, .. } = done;
    let undone = match old {
        Some(old) => {
            unsettle(done);
            attach::restore(place, attached, program, old)
        }
        None => {
            attach::standing(place, attached.hook.direction())
            .and_then(|now| now.iter().try_for_each(|new| detach::detach(place, new).map(drop)))
        }
    };
    state::remove_maps(program.loaded.info().id);
    if let Err(error) = undone {
        eprintln!("note: {} could not be put back: {error}", place.label);
    }
}

/// The reverse of [`settle`], as far as that came.
fn unsettle(done: &Done<'_>) {
    let Done { place, program, accompanied, .. } = done;
    let made = Record { pins: program.pins.iter().map(|(_, path)| path.clone()).collect(), ..Record::default() };
    let unpinned = detach::remove_pins(&made, program.loaded.info()).map(drop);
    let dismissed = if *accompanied { companion::dismiss(place).map(drop) } else { Ok(()) };
    for error in [unpinned, dismissed].into_iter().filter_map(Result::err) {
        eprintln!("note: {error}");
    }
}

/// Removes what the program before left, and says what was done.
fn finish(done: Done<'_>) -> Outcome {
    let Done { place, old, program, attached, .. } = done;
    let replaced = old.map(|old| old.standing.program.id);
    if let Some(id) = replaced {
        state::remove_maps(id);
    }
    let mut notes = program.notes;
    notes.extend(attached.notes);
    let info = program.loaded.info();
    Outcome {
        target: place.target.clone(),
        label: place.label.clone(),
        interface: place.interface.name.clone(),
        program: info.name.clone(),
        id: info.id,
        tag: info.tag.clone(),
        mode: attached.hook.to_string(),
        link: attached.link,
        counted: program.wrapped,
        replaced,
        notes,
    }
}
