//! Takes programs off interfaces, and puts back what loading them changed.

use std::os::fd::AsFd;

use serde::Serialize;
use xdpilot_core::diagnose::Stage;
use xdpilot_core::error::Result;
use xdpilot_kernel::link::{Link, LinkInfo};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::object::ObjectRef;
use xdpilot_kernel::program::{self, ProgramInfo};
use xdpilot_kernel::xdp_netlink::{Attachment, Expected};
use xdpilot_kernel::{pins, program as programs};

use crate::attach::{self, Standing, holders};
use crate::place::Place;
use crate::record::Record;
use crate::state;

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
    let Standing { mode, program, link, ours } = standing;
    let mut notes = Vec::new();
    let record = Record::of(program)?;
    if let Some(record) = &record {
        put_back(place, record, program, &mut notes)?;
    }
    match link {
        Some(link) => detach_link(link, *ours, &mut notes)?,
        None => detach_netlink(place, standing)?,
    }
    if *ours {
        pins::remove(&place.link_path())?;
    }
    state::remove_maps(program.id);
    state::sweep();
    Ok(Removed { program: program.name.clone(), id: program.id, mode: mode.to_string(), notes })
}

/// Undoes what loading the program changed around it.
pub fn put_back(place: &Place, record: &Record, program: &ProgramInfo, notes: &mut Vec<String>) -> Result<()> {
    if record.gro {
        place.set_peer_gro(false)?;
        notes.push("turned GRO off again at the other end of the veth pair".into());
    }
    for path in &record.pins {
        let Ok(map) = Map::open_pinned(path) else { continue };
        if let Some(other) = other_user(map.info().id, program.id)? {
            notes.push(format!(
                "left the pin {}: program {} (id {}) uses its map too",
                path.display(),
                other.name,
                other.id
            ));
        } else {
            state::remove_map_pin(path)?;
            notes.push(format!("removed the pin {}", path.display()));
        }
    }
    Ok(())
}

/// A program other than `program` that uses the map.
fn other_user(map: u32, program: u32) -> Result<Option<ProgramInfo>> {
    for id in programs::ids()?.into_iter().filter(|id| *id != program) {
        if let Some(info) = ProgramInfo::of_id(id)?
            && info.map_ids.contains(&map)
        {
            return Ok(Some(info));
        }
    }
    Ok(None)
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
        mode: Some(standing.mode),
        program: None,
        expected: held.as_ref().map_or(Expected::Anything, |fd| Expected::Program(fd.as_fd())),
    };
    let explained = |error| attach::explained(place, Stage::Detach, Some(standing.mode), "", error);
    place.namespace.run(|| attachment.apply()).map_err(explained)
}
