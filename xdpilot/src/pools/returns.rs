//! The program that undoes the translation of replies, on the interfaces where they arrive. It shares its maps with the
//! policy's program, and belongs to it by that.

use std::os::fd::{BorrowedFd, OwnedFd};

use xdpilot_core::emit::RETURN;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::{self, ProgramInfo};

use crate::direction::Direction;
use crate::linked::{self, Linked};
use crate::place::Place;
use crate::record::Record;
use crate::state;

/// Whether a program is one of these.
pub fn is_return(program: &ProgramInfo) -> bool {
    program.name == RETURN
}

/// Keeps the return program of a loaded policy for interfaces where backends may come later.
///
/// # Errors
/// The kernel refuses.
pub fn keep(loaded: &Loaded) -> Result<()> {
    let Some(program) = loaded.program(RETURN) else { return Ok(()) };
    let folder = state::maps_folder(loaded.info().id);
    state::make_folder(&folder)?;
    program::pin(program, &folder.join(RETURN))
}

/// The return program of a policy that is loaded, by its program's id.
///
/// # Errors
/// There is none.
pub fn of(program: u32) -> Result<OwnedFd> {
    program::open_pinned(&state::maps_folder(program).join(RETURN))
}

/// Puts a return program on an interface beside a place, or in the place of one that is there.
///
/// # Errors
/// Another program stands there, or the kernel refuses.
pub fn put(place: &Place, interface: &Interface, program: BorrowedFd<'_>) -> Result<()> {
    let namespace = &place.namespace;
    let path = state::link_path(Direction::Ingress, namespace.inode(), interface.index);
    let now = namespace.run(|| Interface::by_index(interface.index))?;
    if now.xdp.is_empty() {
        state::make_folder(&state::folder())?;
        pins::remove(&path)?;
        let attach = |mode: Mode| namespace.run(|| Link::attach_xdp(program, interface.index, mode.flag()));
        let link = attach(Mode::Native).or_else(|_| attach(Mode::Generic));
        return link.map_err(|error| error.context(format!("undo translation on {}", interface.name)))?.pin(&path);
    }
    let link = Link::open_pinned(&path).ok();
    let standing = link.as_ref().and_then(|link| ProgramInfo::of_id(link.info().ok()?.program_id).ok().flatten());
    let makes_room = |program: &ProgramInfo| {
        is_return(program) || Record::of(program).is_ok_and(|record| record.is_some_and(|record| record.companion))
    };
    match (link, standing.filter(makes_room)) {
        (Some(link), Some(_)) => link.update(program, None),
        _ => Err(Error::usage(format!("undo the translation of replies that arrive at {}", interface.name))
            .cause("another program stands there")
            .mend(format!("xdpilot unload --on {}", place.beside(interface)))),
    }
}

/// Takes the return programs off that have one of these maps; returns how many there were.
///
/// # Errors
/// The kernel refuses.
pub fn take_off(maps: &[u32]) -> Result<usize> {
    let mut count = 0;
    for Linked { pinned, link, program, .. } in linked::all()? {
        if is_return(&program) && program.map_ids.iter().any(|map| maps.contains(map)) {
            link.detach()?;
            pins::remove(&pinned.path)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Takes a return program off whose policy is gone, since the command that took that off was killed.
///
/// # Errors
/// The kernel refuses.
pub fn sweep(program: &ProgramInfo) -> Result<()> {
    let shares = |other: &ProgramInfo| other.map_ids.iter().any(|map| program.map_ids.contains(map));
    let serves = |one: &Linked| one.info.is_alive() && !is_return(&one.program) && shares(&one.program);
    if linked::all()?.iter().any(serves) {
        return Ok(());
    }
    take_off(&program.map_ids).map(drop)
}
