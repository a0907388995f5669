//! `xdpilot load`: puts a program on interfaces and containers.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::pins;

use crate::attach::{self, Attached, Standing, Wish};
use crate::detach;
use crate::place::{self, Place, Traffic};
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::{self, Source};
use crate::state;
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
    let mut places = Vec::new();
    for target in &args.targets {
        places.extend(place::resolve(target, args.traffic)?);
    }
    let order = Order {
        choice: Choice { program: args.program.clone(), section: args.section.clone(), first: false },
        wish: Wish { mode: args.mode.mode(), replace: args.replace, netlink: false },
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

/// One place with the program that is loaded for it.
struct Prepared<'a> {
    place: &'a Place,
    standing: Vec<Standing>,
    program: Program,
}

/// Loads the program for every place, then attaches it everywhere or nowhere.
///
/// # Errors
/// All places are as before.
pub fn load(source: &Source, places: &[Place], order: &Order) -> Result<Vec<Outcome>> {
    let _lock = pins::ensure_mounted().and_then(|()| pins::lock()).ok();
    state::sweep();
    let mut prepared = Vec::new();
    for place in places {
        prepared.push(prepare_one(source, place, order)?);
    }
    let mut attached: Vec<Attached> = Vec::new();
    for one in &prepared {
        match keep_maps(&one.program).and_then(|()| attach::attach(one.place, &one.program, order.wish, &one.standing))
        {
            Ok(done) => attached.push(done),
            Err(error) => {
                state::remove_maps(one.program.loaded.info().id);
                undo(&prepared, &attached);
                return Err(error);
            }
        }
    }
    prepared.iter().zip(attached).map(|(one, attached)| finish(one, attached)).collect()
}

fn prepare_one<'a>(source: &Source, place: &'a Place, order: &Order) -> Result<Prepared<'a>> {
    let standing = attach::standing(place)?;
    // By netlink the kernel is asked at once, and says itself what stands in the way.
    if let (Some(one), false, false) = (standing.first(), order.wish.replace, order.wish.netlink) {
        return Err(attach::occupied(place, one));
    }
    let before = standing.first().and_then(|old| Record::of(&old.program).ok().flatten()).unwrap_or_default();
    let record = Record { source: source.path.display().to_string(), target: place.target.clone(), ..before };
    let wanted = Wanted {
        elf: &source.elf,
        name: &source.name,
        choice: &order.choice,
        bare: order.bare,
        ifindex: place.interface.index,
        offload: order.wish.mode == Some(Mode::Offload),
        peer_lacks_gro: order.wish.mode != Some(Mode::Generic) && place.peer_lacks_gro(),
        verbose: order.verbose,
    };
    // Programs that are bound to a device are loaded where the device is.
    let loaded = place.namespace.run(|| Ok(prepare::load(&wanted, &record)))?;
    if order.verbose {
        let log = loaded.as_ref().map_or_else(|failure| failure.log.as_str(), |program| program.loaded.log());
        eprintln!("{}", log.trim_end());
    }
    let program = loaded.map_err(|failure| prepare::refusal(failure, &place.facts(order.wish.mode, &source.name)))?;
    Ok(Prepared { place, standing, program })
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

/// Takes back what was attached before another place failed.
fn undo(prepared: &[Prepared<'_>], attached: &[Attached]) {
    for (one, attached) in prepared.iter().zip(attached) {
        let undone = match one.standing.first() {
            Some(old) => attach::restore(one.place, attached, &one.program, old),
            None => attach::standing(one.place)
                .and_then(|now| now.iter().try_for_each(|new| detach::detach(one.place, new).map(drop))),
        };
        state::remove_maps(one.program.loaded.info().id);
        if let Err(error) = undone {
            eprintln!("note: {} could not be put back: {error}", one.place.label);
        }
    }
}

/// Pins what the object asks for, prepares the veth peer, and removes what the program before left.
fn finish(one: &Prepared<'_>, attached: Attached) -> Result<Outcome> {
    let Prepared { place, standing, program } = one;
    let mut notes = program.notes.clone();
    notes.extend(attached.notes);
    for (name, path) in &program.pins {
        if let Some(folder) = path.parent() {
            state::make_folder(folder)?;
        }
        program.loaded.map(name)?.pin(path)?;
    }
    if program.needs_gro && attached.mode == Mode::Native {
        place.set_peer_gro(true)?;
        notes.push(
            "turned GRO on at the other end of the veth pair, or frames sent there would be lost; unload turns it off"
                .into(),
        );
    }
    let replaced = standing.first().map(|old| old.program.id);
    if let Some(id) = replaced {
        state::remove_maps(id);
    }
    let info = program.loaded.info();
    Ok(Outcome {
        target: place.target.clone(),
        label: place.label.clone(),
        interface: place.interface.name.clone(),
        program: info.name.clone(),
        id: info.id,
        tag: info.tag.clone(),
        mode: attached.mode.to_string(),
        link: attached.link,
        counted: program.wrapped,
        replaced,
        notes,
    })
}
