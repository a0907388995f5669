//! The sets of policies that are loaded.

use std::collections::BTreeSet;

use xdpilot_core::cond::Part;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::near;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::program::ProgramInfo;

use crate::place::Place;
use crate::policy::elements::Contents;
use crate::pools::returns::is_return;
use crate::record::{self, Record, SetRecord};
use crate::state::{self, Pinned};

/// A loaded policy, where it stands.
#[derive(Debug)]
pub struct Loaded {
    /// Its link.
    pub pinned: Pinned,
    /// Its program's id.
    pub program: u32,
    /// What is known of it.
    pub record: Record,
    /// Its maps.
    maps: Vec<Map>,
}

impl Loaded {
    /// Takes a map by its name; none where it has none of this name.
    pub fn take_map(&mut self, name: &str) -> Option<Map> {
        let at = self.maps.iter().position(|map| map.info().name == name)?;
        Some(self.maps.swap_remove(at))
    }
}

/// A set of a loaded policy.
#[derive(Debug)]
pub struct Set {
    /// The target, as it was named when the policy was loaded.
    pub target: String,
    /// Where it stands.
    pub pinned: Pinned,
    /// What is in it, by the kind of the elements.
    pub contents: Vec<(Part, Contents)>,
}

/// The policies that are loaded, at these places or everywhere. Those that go away meanwhile are left out.
///
/// They are found by the pins of their links: looking through all programs of the machine would take longer.
///
/// # Errors
/// This user may not see them.
pub fn loaded(places: Option<&[Place]>) -> Result<Vec<Loaded>> {
    let wanted = |pinned: &Pinned| {
        let is_here =
            |place: &Place| (place.namespace.inode(), place.interface.index) == (pinned.namespace, pinned.ifindex);
        places.is_none_or(|places| places.iter().any(is_here))
    };
    Ok(state::links()?.into_iter().filter(wanted).filter_map(|pinned| at(pinned).ok().flatten()).collect())
}

/// The policy behind a link; none where another program stands there, or none any more.
///
/// # Errors
/// The kernel does not let this user see it.
pub fn at(pinned: Pinned) -> Result<Option<Loaded>> {
    let link = Link::open_pinned(&pinned.path)?.info()?;
    let program = if link.is_alive() { ProgramInfo::of_id(link.program_id)? } else { None };
    let Some(program) = program.filter(|program| !is_return(program)) else { return Ok(None) };
    let maps = record::maps(&program)?;
    let record = Record::among(&maps)?.filter(|record| record.policy.is_some());
    Ok(record.map(|record| Loaded { pinned, program: program.id, record, maps }))
}

/// All sets of this name.
///
/// # Errors
/// No loaded policy has such a set; the names that there are nearest are told.
pub fn named(name: &str, loaded: &mut [Loaded]) -> Result<Vec<Set>> {
    let mut sets = Vec::new();
    for one in loaded.iter_mut() {
        let found = records(one).find(|set| set.name == name).cloned();
        sets.extend(found.map(|record| open(one, &record)).transpose()?);
    }
    if sets.is_empty() { Err(no_set(name, loaded)) } else { Ok(sets) }
}

/// The names of all sets, each once.
pub fn names(loaded: &[Loaded]) -> Vec<String> {
    let names: BTreeSet<&String> = loaded.iter().flat_map(records).map(|set| &set.name).collect();
    names.into_iter().cloned().collect()
}

fn records(loaded: &Loaded) -> impl Iterator<Item = &SetRecord> {
    loaded.record.policy.iter().flat_map(|policy| &policy.sets)
}

fn open(loaded: &mut Loaded, record: &SetRecord) -> Result<Set> {
    let mut contents = Vec::new();
    for (part, name) in record.maps() {
        let gone = || Error::failed(format!("open map {name}")).cause("the program is gone");
        contents.push((part, Contents::open(loaded.take_map(name).ok_or_else(gone)?, part)?));
    }
    Ok(Set { target: loaded.record.target.clone(), pinned: loaded.pinned.clone(), contents })
}

fn no_set(name: &str, loaded: &[Loaded]) -> Error {
    let error = Error::usage(format!("no loaded policy has a set {name}"));
    match loaded {
        [] => error.cause("no policy is loaded there").mend("xdpilot status"),
        _ => error.cause(near::suggestion(name, "sets", &names(loaded))),
    }
}
