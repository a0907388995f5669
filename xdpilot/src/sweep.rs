//! Removes what is left of programs whose interface is gone, as after the end of a container, and of commands that
//! were killed.

use std::fs;
use std::path::Path;

use xdpilot_core::error::Result;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::{self, Link};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::ProgramInfo;

use crate::place;
use crate::record::Record;
use crate::{detach, state};

/// Removes pins whose interface or program is gone. What cannot be read stays; a failure is met again by the next sweep.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(state::folder()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(id) = name.strip_prefix("maps-").and_then(|id| id.parse().ok()) {
            if is_attached(id).is_ok_and(|attached| !attached) {
                state::remove_maps(id);
            }
        } else if let Some(place) = name.strip_prefix("link-") {
            _ = sweep_link(&path, place);
        }
    }
    state::remove_folder();
}

/// Whether a program stands on an interface.
///
/// That it is loaded says nothing: a program array that holds the program keeps it alive, and is kept by the pin that
/// is in question.
fn is_attached(program: u32) -> Result<bool> {
    if ProgramInfo::of_id(program)?.is_none() {
        return Ok(false);
    }
    if link::all()?.iter().any(|link| link.program_id == program && link.xdp_ifindex().is_some()) {
        return Ok(true);
    }
    for reachable in Namespace::all() {
        let interfaces = reachable.namespace.run(Interface::list)?;
        if interfaces.iter().flat_map(|interface| interface.xdp.programs()).any(|(_, id)| id == program) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes the pin of a link that is dead: its interface is gone, or somebody detached it. The link still holds the
/// program, and so the record of what loading it changed.
fn sweep_link(path: &Path, place: &str) -> Result<()> {
    let info = Link::open_pinned(path)?.info()?;
    if info.xdp_ifindex().is_some() {
        return Ok(());
    }
    if let Some(program) = ProgramInfo::of_id(info.program_id)?
        && let Some(record) = Record::of(&program)?
    {
        if record.gro
            && let Some((namespace, ifindex)) = place.split_once('-')
            && let (Ok(namespace), Ok(ifindex)) = (namespace.parse(), ifindex.parse())
        {
            // The other end is gone with the interface, most often.
            _ = place::reset_peer_gro(namespace, ifindex);
        }
        detach::remove_pins(&record, &program)?;
        state::remove_maps(program.id);
    }
    pins::remove(path)
}
