//! Removes what is left of programs whose interface is gone, as after the end of a container, and of commands that
//! were killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use xdpilot_core::error::Result;
use xdpilot_core::pass;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::{self, Link};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::ProgramInfo;

use crate::pools::returns;
use crate::record::Record;
use crate::state::Pinned;
use crate::{companion, detach, state};

/// Removes pins whose interface or program is gone. What cannot be read stays; a failure is met again by the next sweep.
pub fn sweep() {
    let Ok(entries) = fs::read_dir(state::folder()) else { return };
    let mut attached = None;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(id) = name.strip_prefix("maps-").and_then(|id| id.parse().ok())
            && is_attached(id, &mut attached).is_ok_and(|attached| !attached)
        {
            state::remove_maps(id);
        }
    }
    for link in state::links().unwrap_or_default() {
        _ = sweep_link(&link);
    }
    state::remove_folder();
}

/// Removes what is left at one place, by the path of its link.
pub fn at(link: &Path) {
    if let Some(pinned) = state::link_at(link.to_owned()).filter(|_| link.exists()) {
        // It is met again by the next sweep.
        _ = sweep_link(&pinned);
    }
}

/// Whether a program stands on an interface; `attached` are the programs of all links, once they were asked for.
///
/// That it is loaded says nothing: a program array that holds the program keeps it alive, and is kept by the pin that
/// is in question.
fn is_attached(program: u32, attached: &mut Option<BTreeSet<u32>>) -> Result<bool> {
    if ProgramInfo::of_id(program)?.is_none() {
        return Ok(false);
    }
    let of_links = match attached {
        Some(known) => known,
        None => {
            attached.insert(link::all()?.iter().filter(|link| link.is_alive()).map(|link| link.program_id).collect())
        }
    };
    if of_links.contains(&program) {
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
fn sweep_link(pinned: &Pinned) -> Result<()> {
    let Pinned { path, namespace, ifindex, .. } = pinned;
    let info = Link::open_pinned(path)?.info()?;
    let program = ProgramInfo::of_id(info.program_id)?;
    // Records may be long; only those are read that are needed.
    if info.is_alive() && program.as_ref().is_none_or(|program| program.name != pass::NAME) {
        return Ok(());
    }
    let record = program.as_ref().map(Record::of).transpose()?.flatten();
    if let Some(program) = program.as_ref().filter(|program| info.is_alive() && returns::is_return(program)) {
        return returns::sweep(program);
    }
    if info.is_alive() {
        let companion = record.is_some_and(|record| record.companion);
        return if companion { companion::dismiss_orphan(path, *namespace, *ifindex) } else { Ok(()) };
    }
    if let (Some(program), Some(record)) = (program, record) {
        detach::remove_pins(&record, &program)?;
        state::remove_maps(program.id);
    }
    pins::remove(path)
}
