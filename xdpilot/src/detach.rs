//! Takes programs off interfaces, and puts back what loading them changed.

use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use xdpilot_core::diagnose::Stage;
use xdpilot_core::emit::{BACKENDS, RETURN};
use xdpilot_core::error::Result;
use xdpilot_core::pass;
use xdpilot_core::route::State;
use xdpilot_kernel::link::{Link, LinkInfo};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::object::ObjectRef;
use xdpilot_kernel::program::{self, ProgramInfo};
use xdpilot_kernel::xdp_netlink::{Attachment, Expected};
use xdpilot_kernel::{pins, program as programs};

use crate::attach::{self, Standing, holders};
use crate::direction::Direction;
use crate::place::Place;
use crate::pools::{live, returns, ways};
use crate::record::{self, Record};
use crate::state;
use crate::{companion, dispatcher};

/// A program that was taken off.
#[derive(Clone, Debug, Serialize)]
pub struct Removed {
    /// Its name.
    pub program: String,
    /// Its id.
    pub id: u32,
    /// The mode it stood in.
    pub mode: String,
    /// What else was done, or is left, a sentence each.
    pub notes: Vec<String>,
}

/// Takes one program off.
///
/// What loading changed is put back first: the record of it is gone with the program.
///
/// # Errors
/// The kernel refuses it.
pub fn detach(place: &Place, standing: &Standing) -> Result<Removed> {
    let Standing { hook, program, link, ours } = standing;
    let record = Record::of(program)?.unwrap_or_default();
    let backends = record::map_named(program, BACKENDS)?;
    let mut notes = remove_pins(&record, program)?;
    notes.extend(record.stored.as_ref().map(|stored| {
        let policy = &stored.policy;
        format!("policy {policy} is there for a store, which attaches it again: xdpilot delete attachment {policy}")
    }));
    match link {
        Some(link) => detach_link(link, *ours, &mut notes)?,
        None => detach_netlink(place, standing)?,
    }
    if *ours {
        pins::remove(&place.link_path(hook.direction()))?;
    }
    state::remove_maps(program.id);
    if program.name == dispatcher::NAME {
        notes.extend(dispatcher::remove_pins(place.interface.index, program.id)?);
    }
    if hook.direction() == Direction::Ingress {
        notes.extend(settle_peer(place)?);
        let released = companion::release(&record.receivers)?;
        notes.extend((released > 0).then(|| format!("took {} off where frames were redirected to", pass::NAME)));
        // All programs are looked at for that.
        if backends.is_some() || returns::is_return(program) {
            notes.extend(leave_backends(&program.map_ids)?);
        }
        if let Some(backends) = backends {
            place.namespace.run(|| ways::forget_neighbours(&live::backends(&backends)?, &State::default()))?;
        }
    }
    state::remove_folder();
    Ok(Removed { program: program.name.clone(), id: program.id, mode: hook.to_string(), notes })
}

/// Takes off what a program that routes needed on the side of its backends, by its maps; returns what was done.
///
/// # Errors
/// The kernel refuses it.
pub fn leave_backends(maps: &[u32]) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if returns::take_off(maps)? > 0 {
        notes.push(format!("took {RETURN} off where replies arrived"));
    }
    if companion::release_served(maps)? > 0 {
        notes.push(format!("took {} off at the backends", pass::NAME));
    }
    Ok(notes)
}

/// Takes off the companion of a program that is gone, or puts one in its place for the program at the far end; returns
/// what was done.
///
/// # Errors
/// The kernel refuses it.
pub fn settle_peer(place: &Place) -> Result<Option<String>> {
    if companion::dismiss(place)? {
        return Ok(Some(format!("took {} off again at the other end of the veth pair", pass::NAME)));
    }
    let successor = || format!("put {} in its place: the program at the other end sends frames here", pass::NAME);
    Ok(companion::succeed(place)?.then(successor))
}

/// Removes the pins that loading the program made, and are of no use to another one; returns what was done.
///
/// # Errors
/// One cannot be removed.
pub fn remove_pins(record: &Record, program: &ProgramInfo) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for path in &record.pins {
        let path_shown = path.display();
        let reachable = state::reachable(path);
        match Map::open_pinned(&reachable) {
            Ok(map) => match other_user(map.info().id, program)? {
                Some(other) => {
                    notes.push(format!("left the pin {path_shown}: {} (id {}) uses its map too", other.name, other.id));
                }
                None => {
                    state::remove_map_pin(path)?;
                    notes.push(format!("removed the pin {path_shown}"));
                }
            },
            // Loading did not come to the pin, but maybe to its folder.
            Err(_) => state::remove_empty_folders(path),
        }
    }
    Ok(notes)
}

/// How often, and with which pause, to look whether a program is still there. Programs that were taken off a moment
/// ago go when the kernel has found the time (a grace period of RCU and a work queue).
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// A program that uses the map, other than `program` and those that were loaded with it: they share its BTF.
fn other_user(map: u32, program: &ProgramInfo) -> Result<Option<ProgramInfo>> {
    let mut found = None;
    for look in 0..LOOKS {
        if look > 0 {
            thread::sleep(PAUSE);
        }
        found = None;
        for id in programs::ids()? {
            let Some(info) = ProgramInfo::of_id(id)? else { continue };
            let same = info.id == program.id || (info.btf_id != 0 && info.btf_id == program.btf_id);
            if !same && info.map_ids.contains(&map) {
                found = Some(info);
            }
        }
        if found.is_none() {
            break;
        }
    }
    Ok(found)
}

fn detach_link(link: &LinkInfo, ours: bool, notes: &mut Vec<String>) -> Result<()> {
    if !ours {
        notes.push(format!(
            "its link {} was held by {}; it is left without a program",
            link.id,
            holders(ObjectRef::link(link.id))
        ));
    }
    match Link::open(link.id)? {
        Some(link) => link.detach(),
        None => Ok(()),
    }
}

fn detach_netlink(place: &Place, standing: &Standing) -> Result<()> {
    let held = program::open(standing.program.id)?;
    let attachment = Attachment {
        index: place.interface.index,
        name: &place.interface.name,
        mode: standing.hook.mode(),
        program: None,
        expected: held.as_ref().map_or(Expected::Anything, |fd| Expected::Program(fd.as_fd())),
    };
    let explained = |error| attach::explained(place, Stage::Detach, standing.hook.mode(), "", error);
    place.namespace.run(|| attachment.apply()).map_err(explained)
}
