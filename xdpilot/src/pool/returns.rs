//! The program that undoes the translation of replies, on the interfaces where they arrive.

use std::collections::BTreeSet;
use std::path::PathBuf;

use xdpilot_core::emit::RETURN;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::ProgramInfo;

use crate::direction::Direction;
use crate::record::Record;
use crate::state;

/// Whether a program is one of these.
pub fn is_return(program: &ProgramInfo) -> bool {
    program.name == RETURN
}

/// Puts the return program of a loaded policy on an interface, or in the place of one that is there; says how.
///
/// # Errors
/// Another program stands there, or the kernel refuses.
pub fn put(namespace: &Namespace, interface: &Interface, loaded: &Loaded) -> Result<PathBuf> {
    let missing = || Error::failed(format!("find program {RETURN}"));
    let program = loaded.program(RETURN).ok_or_else(missing)?;
    let path = state::link_path(Direction::Ingress, namespace.inode(), interface.index);
    let now = namespace.run(|| Interface::by_index(interface.index))?;
    if now.xdp.is_empty() {
        state::make_folder(&state::folder())?;
        pins::remove(&path)?;
        let attach = |mode: Mode| namespace.run(|| Link::attach_xdp(program, interface.index, mode.flag()));
        let link = attach(Mode::Native).or_else(|_| attach(Mode::Generic));
        link.map_err(|error| error.context(format!("undo translation on {}", interface.name)))?.pin(&path)?;
        return Ok(path);
    }
    let link = Link::open_pinned(&path).ok();
    let standing = link.as_ref().and_then(|link| ProgramInfo::of_id(link.info().ok()?.program_id).ok().flatten());
    let makes_room = |program: &ProgramInfo| {
        is_return(program) || Record::of(program).is_ok_and(|record| record.is_some_and(|record| record.companion))
    };
    match (link, standing.filter(makes_room)) {
        (Some(link), Some(_)) => link.update(program, None).map(|()| path),
        _ => Err(Error::usage(format!("undo the translation of replies that arrive at {}", interface.name))
            .cause("another program stands there")
            .mend(format!("xdpilot unload --on {}", interface.name))),
    }
}

/// Takes the return programs off these interfaces (namespaces by inode); returns how many there were.
///
/// # Errors
/// The kernel refuses.
pub fn take_off(places: &BTreeSet<(u64, u32)>) -> Result<usize> {
    let mut count = 0;
    for (namespace, ifindex) in places {
        let path = state::link_path(Direction::Ingress, *namespace, *ifindex);
        let Ok(link) = Link::open_pinned(&path) else { continue };
        let program = ProgramInfo::of_id(link.info()?.program_id)?;
        if program.as_ref().is_none_or(is_return) {
            link.detach()?;
            pins::remove(&path)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Takes a return program off whose policy is gone, since the command that took that off was killed.
///
/// # Errors
/// The kernel refuses.
pub fn sweep(namespace: u64, ifindex: u32) -> Result<()> {
    for pinned in state::links()? {
        let Ok(info) = Link::open_pinned(&pinned.path).and_then(|link| link.info()) else { continue };
        let Some(program) = ProgramInfo::of_id(info.program_id)?.filter(|program| !is_return(program)) else {
            continue;
        };
        if info.is_alive() && Record::of(&program)?.is_some_and(|record| record.returns.contains(&(namespace, ifindex)))
        {
            return Ok(());
        }
    }
    take_off(&BTreeSet::from([(namespace, ifindex)])).map(drop)
}
