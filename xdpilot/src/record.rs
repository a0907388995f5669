//! What xdpilot knows of a program that it loaded, kept with the program in the kernel: it is there as
//! long as the program is, and gone with it. `bpftool prog show` prints it as metadata.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use xdpilot_core::error::Result;
use xdpilot_core::link;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::program::{self, ProgramInfo};

/// The record of one loaded program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// What it was loaded from, as the user named it, made absolute.
    pub source: String,
    /// The target as the user named it.
    pub target: String,
    /// Whether unloading has to turn GRO off at the veth peer: it was turned on for this program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gro: bool,
    /// Pins of maps that loading made, this program's or one that it shares them with: the last one's unloading
    /// removes them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pins: BTreeSet<PathBuf>,
}

/// The name of the variable that holds the record.
const VARIABLE: &str = "xdpilot";

impl Record {
    /// Puts the record into an object that is about to be loaded.
    pub fn attach_to(&self, object: &mut xdpilot_core::object::Object) {
        // A record of texts and paths always has a JSON form.
        let text = serde_json::to_string(self).unwrap_or_default();
        link::annotate(object, &[(VARIABLE, &text)]);
    }

    /// The record of a loaded program; none where xdpilot did not load it.
    ///
    /// # Errors
    /// The kernel does not let this user read the program's maps.
    pub fn of(program: &ProgramInfo) -> Result<Option<Record>> {
        let Some(map) = map_named(program, link::NOTES)? else { return Ok(None) };
        let value = map.first()?;
        let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(serde_json::from_slice(text).ok())
    }
}

/// The pins that the programs now in the kernel made.
///
/// # Errors
/// The kernel does not let this user see the programs.
pub fn all_pins() -> Result<BTreeSet<PathBuf>> {
    let mut pins = BTreeSet::new();
    for id in program::ids()? {
        if let Some(info) = ProgramInfo::of_id(id)?.filter(ProgramInfo::is_xdp)
            && let Some(record) = Record::of(&info)?
        {
            pins.extend(record.pins);
        }
    }
    Ok(pins)
}

/// Packets and bytes of one verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Their bytes, as they were when they arrived.
    pub bytes: u64,
}

/// Counts by verdict, in the order of [`link::VERDICTS`].
pub type Counts = [Count; link::VERDICTS.len()];

/// The verdict counts of a wrapped program; none where it is not wrapped.
///
/// # Errors
/// The kernel does not let this user read the program's maps.
pub fn counts(program: &ProgramInfo) -> Result<Option<Counts>> {
    let Some(map) = map_named(program, link::COUNTS)? else { return Ok(None) };
    let mut counts = Counts::default();
    for (key, count) in (0..).zip(&mut counts) {
        if let [packets, bytes] = map.sum_per_cpu(key)?[..] {
            *count = Count { packets, bytes };
        }
    }
    Ok(Some(counts))
}

fn map_named(program: &ProgramInfo, name: &str) -> Result<Option<Map>> {
    for id in &program.map_ids {
        if let Some(map) = Map::open(*id)?
            && map.info().name == name
        {
            return Ok(Some(map));
        }
    }
    Ok(None)
}
