//! Puts a loaded program on an interface, or in the place of the one that stands there.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use xdpilot_core::diagnose::{Stage, explain};
use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::{self, Link, LinkInfo};
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::object::ObjectRef;
use xdpilot_kernel::owners::Owners;
use xdpilot_kernel::program::{self, ProgramInfo};
use xdpilot_kernel::xdp_netlink::{Attachment, Expected};
use xdpilot_kernel::{machine, pins};

use crate::direction::{Direction, Hook};
use crate::place::Place;
use crate::prepare::Program;
use crate::record::Record;
use crate::state;

/// How a program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The mode; none means native, or generic where native is refused (with `netlink`: as the kernel chooses).
    pub mode: Option<Mode>,
    /// Take the place of what stands there.
    pub replace: bool,
    /// Attach by one netlink request, as ip(8) does, also where the kernel has links.
    pub netlink: bool,
    /// Which packets the program is to see.
    pub direction: Direction,
}

/// How a program was attached.
#[derive(Clone, Debug)]
pub struct Attached {
    /// How it stands there.
    pub hook: Hook,
    /// Where its link is pinned; none for an attachment by netlink.
    pub link: Option<PathBuf>,
    /// What the user should know, a sentence each.
    pub notes: Vec<String>,
}

/// The program that stands on an interface.
#[derive(Clone, Debug)]
pub struct Standing {
    /// How it stands there.
    pub hook: Hook,
    /// Its facts.
    pub program: ProgramInfo,
    /// Its link; none if it was attached by netlink.
    pub link: Option<LinkInfo>,
    /// Whether the link is pinned where xdpilot pins.
    pub ours: bool,
}

/// A program that is to be replaced.
#[derive(Debug)]
pub struct Old {
    /// What it is.
    pub standing: Standing,
    /// Keeps it in the kernel, to be put back if need be.
    held: OwnedFd,
}

impl Standing {
    /// Whether it is xdpilot's own, put there for the program at the far end of a veth pair: any other serves as well.
    fn is_companion(&self) -> bool {
        matches!(Record::of(&self.program), Ok(Some(record)) if record.companion)
    }

    /// Whether a link that xdpilot did not pin holds it: only its owner can put another program in its place.
    fn is_held_by_others(&self) -> bool {
        self.link.is_some() && !self.ours
    }
}

/// The programs that stand at a place: all XDP programs, and on packets that leave, where others do not stand in each
/// other's way, xdpilot's own.
///
/// # Errors
/// The kernel does not let this user see them.
pub fn standing(place: &Place, direction: Direction) -> Result<Vec<Standing>> {
    match direction {
        Direction::Ingress => standing_xdp(place),
        Direction::Egress => Ok(standing_egress(place)?.into_iter().collect()),
    }
}

/// xdpilot's program on the packets that leave.
fn standing_egress(place: &Place) -> Result<Option<Standing>> {
    let Ok(pinned) = Link::open_pinned(&place.link_path(Direction::Egress)) else { return Ok(None) };
    let link = pinned.info()?;
    if link.egress_ifindex() != Some(place.interface.index) {
        return Ok(None);
    }
    let program = ProgramInfo::of_id(link.program_id)?;
    Ok(program.map(|program| Standing { hook: Hook::Egress, program, link: Some(link), ours: true }))
}

fn standing_xdp(place: &Place) -> Result<Vec<Standing>> {
    let interface = place.namespace.run(|| Interface::by_index(place.interface.index))?;
    let pinned = Link::open_pinned(&place.link_path(Direction::Ingress)).and_then(|link| link.info()).ok();
    let mut out = Vec::new();
    for (mode, id) in interface.xdp.programs() {
        let Some(program) = ProgramInfo::of_id(id)? else { continue };
        let held = |link: &LinkInfo| link.program_id == id && link.xdp_ifindex() == Some(interface.index);
        let ours = pinned.filter(|link| held(link));
        let link = match ours {
            None => link::all()?.into_iter().find(|link| held(link)),
            ours => ours,
        };
        out.push(Standing { hook: Hook::Xdp(mode), program, link, ours: ours.is_some() });
    }
    Ok(out)
}

/// Makes sure that a place may be taken, and returns the program that is to be replaced there.
///
/// # Errors
/// A program stands there that is not to be replaced, or cannot be.
pub fn free(place: &Place, wish: Wish) -> Result<Option<Old>> {
    if wish.netlink {
        // The kernel is asked at once, and says itself what stands in the way.
        return Ok(None);
    }
    let mut standing = standing(place, wish.direction)?;
    match &standing[..] {
        [] => Ok(None),
        [one, ..] if one.is_held_by_others() || !(wish.replace || one.is_companion()) => Err(occupied(place, one)),
        [one] => {
            if let Some(mode) = wish.mode.filter(|mode| one.hook != Hook::Xdp(*mode)) {
                return Err(other_mode(place, one, mode));
            }
            let held = program::open(one.program.id)?;
            Ok(standing.pop().zip(held).map(|(standing, held)| Old { standing, held }))
        }
        _ => Err(Error::usage(format!("replace the programs on {}", place.label))
            .cause("several stand there, in different modes")
            .mend(format!("xdpilot unload {}", place.options()))),
    }
}

fn other_mode(place: &Place, old: &Standing, mode: Mode) -> Error {
    Error::usage(format!("replace {} on {} in {mode} mode", old.program.name, place.label))
        .cause(format!("it stands there in {} mode, and changing the mode would leave a gap", old.hook))
        .mend(format!("xdpilot unload {} first, or leave --mode out", place.options()))
}

/// Attaches the program, by a pinned link where the kernel has them, else by netlink; or in the place of `old`.
///
/// # Errors
/// The interface stays as it was.
pub fn attach(place: &Place, program: &Program, wish: Wish, old: Option<&Old>) -> Result<Attached> {
    if wish.netlink {
        ask(place, wish, Some(program.loaded.entry()), &program.source)?;
        let mode = mode_of(place, program.loaded.info().id)?;
        return Ok(Attached { hook: Hook::Xdp(mode), link: None, notes: Vec::new() });
    }
    match old {
        None if wish.direction == Direction::Egress => attach_egress(place, program),
        None => attach_first(place, program, wish),
        Some(old) => replace(place, program, old),
    }
}

/// Changes what stands at a place by one netlink request, as ip(8) does: without a mode the kernel chooses native
/// where the driver has it, else generic. No program takes off the one in that mode. `source` is for messages.
///
/// # Errors
/// The kernel refuses, in its own words.
pub fn ask(place: &Place, wish: Wish, program: Option<BorrowedFd<'_>>, source: &str) -> Result<()> {
    let attachment = Attachment {
        index: place.interface.index,
        name: &place.interface.name,
        mode: wish.mode,
        program,
        expected: if wish.replace { Expected::Anything } else { Expected::Nothing },
    };
    let stage = if program.is_some() { Stage::Attach } else { Stage::Detach };
    place.namespace.run(|| attachment.apply()).map_err(|error| explained(place, stage, wish.mode, source, error))
}

/// The mode in which a program stands at a place.
fn mode_of(place: &Place, id: u32) -> Result<Mode> {
    let interface = place.namespace.run(|| Interface::by_index(place.interface.index))?;
    let found = interface.xdp.programs().find(|(_, standing)| *standing == id);
    found.map(|(mode, _)| mode).ok_or_else(|| {
        Error::failed(format!("attach to {}", place.label)).cause("another program took its place at once")
    })
}

fn attach_egress(place: &Place, program: &Program) -> Result<Attached> {
    state::make_folder(&state::folder())?;
    let link = place.namespace.run(|| Link::attach_egress(program.loaded.entry(), place.interface.index));
    let link = link.map_err(|error| explained(place, Stage::Attach, None, &program.source, error))?;
    Ok(Attached { hook: Hook::Egress, link: Some(pin(place, &link, Direction::Egress)?), notes: Vec::new() })
}

/// Pins the link of a program at its place, where a dead one may still be.
fn pin(place: &Place, link: &Link, direction: Direction) -> Result<PathBuf> {
    let path = place.link_path(direction);
    pins::remove(&path)?;
    link.pin(&path)?;
    Ok(path)
}

fn attach_first(place: &Place, program: &Program, wish: Wish) -> Result<Attached> {
    let mode = wish.mode.unwrap_or(Mode::Native);
    let error = match attach_in_mode(place, program, mode) {
        Ok(attached) => return Ok(attached),
        Err(error) => error,
    };
    // Where something stands, or nothing is permitted, generic mode meets the same.
    let hopeless = matches!(error.errno_value(), Some(1 | 16 | 17)) || error.kind() == Kind::NotPermitted;
    if wish.mode.is_some() || hopeless {
        return Err(error);
    }
    let mut attached = attach_in_mode(place, program, Mode::Generic)?;
    let reason = error.kernel_words().unwrap_or("the kernel gives no reason").to_string();
    attached.notes.push(format!("attached in generic mode, which is slower: native mode was refused ({reason})"));
    Ok(attached)
}

fn attach_in_mode(place: &Place, program: &Program, mode: Mode) -> Result<Attached> {
    let by_netlink = || -> Result<Attached> {
        let wish = Wish { mode: Some(mode), replace: false, netlink: true, direction: Direction::Ingress };
        ask(place, wish, Some(program.loaded.entry()), &program.source)?;
        Ok(Attached { hook: Hook::Xdp(mode), link: None, notes: Vec::new() })
    };
    if mode == Mode::Offload || !machine::has_xdp_link() {
        return by_netlink();
    }
    if let Err(error) = state::make_folder(&state::folder()) {
        let mut attached = by_netlink()?;
        attached.notes.push(format!(
            "attached by netlink: a link cannot be pinned ({})",
            error.kernel_words().unwrap_or(error.what())
        ));
        return Ok(attached);
    }
    let link = place.namespace.run(|| Link::attach_xdp(program.loaded.entry(), place.interface.index, mode.flag()));
    match link {
        Ok(link) => {
            let link = Some(pin(place, &link, Direction::Ingress)?);
            Ok(Attached { hook: Hook::Xdp(mode), link, notes: Vec::new() })
        }
        // A link is refused without words; netlink says why, or takes the program.
        Err(_) => by_netlink(),
    }
}

fn replace(place: &Place, program: &Program, old: &Old) -> Result<Attached> {
    let hook = old.standing.hook;
    let link = old.standing.link.is_some().then(|| place.link_path(hook.direction()));
    let attached = Attached { hook, link, notes: Vec::new() };
    exchange(place, &attached, program.loaded.entry(), old.held.as_fd()).map_err(|error| match attached.link {
        Some(_) => error,
        None => explained(place, Stage::Attach, hook.mode(), &program.source, error),
    })?;
    let note = "attached by netlink, as the program before it was: only so the replacement is atomic";
    let notes = if attached.link.is_none() { vec![note.to_string()] } else { Vec::new() };
    Ok(Attached { notes, ..attached })
}

/// Puts a replaced program back.
///
/// # Errors
/// Somebody else changed the interface meanwhile.
pub fn restore(place: &Place, attached: &Attached, new: &Program, old: &Old) -> Result<()> {
    exchange(place, attached, old.held.as_fd(), new.loaded.entry())
}

/// Puts one program in the place of another, atomically, and only while that one stands there.
fn exchange(place: &Place, attached: &Attached, program: BorrowedFd<'_>, expected: BorrowedFd<'_>) -> Result<()> {
    if let Some(path) = &attached.link {
        return Link::open_pinned(path)?.update(program, Some(expected));
    }
    let attachment = Attachment {
        index: place.interface.index,
        name: &place.interface.name,
        mode: attached.hook.mode(),
        program: Some(program),
        expected: Expected::Program(expected),
    };
    place.namespace.run(|| attachment.apply())
}

/// The error for a place that is taken: by what, by whom, and how to get it.
pub fn occupied(place: &Place, standing: &Standing) -> Error {
    let Standing { hook, program, link, ours } = standing;
    let error = Error::failed(format!("attach to {}", place.label)).errno(16);
    let what = format!("program {} (id {}) stands there in {hook} mode", program.name, program.id);
    if let Ok(Some(Record { stored: Some(stored), .. })) = Record::of(program) {
        let mend = format!(
            "xdpilot delete attachment {}, or where that store is gone: xdpilot unload {}",
            stored.policy,
            place.options()
        );
        return error.cause(format!("{what}, for a store that node {} follows", stored.node)).mend(mend);
    }
    match link {
        Some(link) if !ours => error
            .cause(format!("{what}, held by link {} of {}", link.id, holders(ObjectRef::link(link.id))))
            .mend(format!("xdpilot unload {} takes it off", place.options())),
        _ => error.cause(what).mend(format!("xdpilot load … {0} --replace, or xdpilot unload {0}", place.options())),
    }
}

/// Who holds an object, in words.
pub fn holders(object: ObjectRef) -> String {
    let owners = Owners::scan();
    let processes = owners.processes(object).iter().map(|p| format!("process {} ({})", p.pid, p.comm));
    let pins = owners.pins(object).iter().map(|path| format!("pin {}", path.display()));
    let all: Vec<String> = processes.chain(pins).collect();
    if all.is_empty() { "nobody that can be seen from here".to_string() } else { all.join(", ") }
}

/// Puts what the kernel said about a place into words.
pub fn explained(place: &Place, stage: Stage, mode: Option<Mode>, source: &str, error: Error) -> Error {
    explain(error, stage, &place.facts(mode, source))
}
