//! What xdpilot knows of a program that it loaded, kept with the program in the kernel: it is there as
//! long as the program is, and gone with it. `bpftool prog show` prints it as metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use xdpilot_core::cond::{Layout, Part};
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
    /// Whether it may send frames back, for which the far end of a veth pair needs a program.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sends: bool,
    /// Whether it is xdpilot's own program that lets such frames in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub companion: bool,
    /// Pins of maps that loading made, this program's or one that it shares them with: the last one's unloading
    /// removes them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub pins: BTreeSet<PathBuf>,
    /// Where the frames arrive that it redirects into veth pairs: namespaces (inodes) and interfaces there, which need
    /// a program to let them in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub receivers: BTreeSet<(u64, u32)>,
    /// Of a companion that lets in what is routed, the map of backends of the program that routes: it is needed as long
    /// as that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<u32>,
    /// The policy that it was compiled from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRecord>,
    /// What it was loaded for, where that is in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<StoredRecord>,
}

/// The wish of a store that a program fulfils.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// The store's id.
    pub store: String,
    /// The node whose agent or command loaded it.
    pub node: String,
    /// The policy.
    pub policy: String,
    /// Where it is to be, as the store says it.
    pub place: String,
    /// A hash of all that decides which program it is: of one with the same, at most elements of sets differ.
    pub digest: String,
}

/// What must be known of a policy to name what its maps hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its rules, in the order of the counters.
    pub rules: Vec<RuleRecord>,
    /// What it does with packets that no rule decides; it has the next counter.
    pub default: RuleRecord,
    /// The rules that all further counters count, too, by their indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted: Vec<u32>,
    /// The sets that its rules use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetRecord>,
    /// The pools that its rules route to, in the order of their indexes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolRecord>,
}

/// A pool; what it consists of is in the program's maps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolRecord {
    /// Its name.
    pub name: String,
    /// How packets reach its backends, as it is printed.
    pub method: String,
    /// The numbers of its rings, of IPv4 clients and of IPv6 clients.
    pub rings: [Option<u16>; 2],
    /// Seconds after which connections are forgotten.
    pub timeout: u32,
    /// Whether connection ids of QUIC are read, so that each backend needs one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quic: bool,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// Its line in the policy's file, from 1; 0 where it stands in none.
    pub line: u32,
    /// The rule as it is printed.
    pub text: String,
    /// The name under which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<String>,
}

/// A set, and the names of the maps that hold its elements: one for each kind that rules ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetRecord {
    /// Its name.
    pub name: String,
    /// IPv4 prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v4: Option<String>,
    /// IPv6 prefixes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub v6: Option<String>,
    /// Ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<String>,
    /// Ethernet addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub macs: Option<String>,
    /// Tuples, by the codes of their layouts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tuples: BTreeMap<String, String>,
}

impl SetRecord {
    /// Notes the name of the map that holds elements of this kind.
    pub fn add_map(&mut self, part: Part, name: String) {
        match part {
            Part::V4 => self.v4 = Some(name),
            Part::V6 => self.v6 = Some(name),
            Part::Port => self.ports = Some(name),
            Part::Mac => self.macs = Some(name),
            Part::Tuple(layout) => _ = self.tuples.insert(layout.code(), name),
        }
    }

    /// The kinds of elements that rules ask for, with the names of their maps.
    pub fn maps(&self) -> impl Iterator<Item = (Part, &str)> {
        let all = [(Part::V4, &self.v4), (Part::V6, &self.v6), (Part::Port, &self.ports), (Part::Mac, &self.macs)];
        let tuples = self.tuples.iter();
        let tuples = tuples.filter_map(|(code, map)| Some((Part::Tuple(Layout::of_code(code)?), map.as_str())));
        all.into_iter().filter_map(|(part, map)| Some((part, map.as_deref()?))).chain(tuples)
    }
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
        map_named(program, link::NOTES)?.map_or(Ok(None), |map| Self::read(&map))
    }

    /// The record among the maps of a program.
    ///
    /// # Errors
    /// The kernel does not let this user read them.
    pub fn among(maps: &[Map]) -> Result<Option<Record>> {
        maps.iter().find(|map| map.info().name == link::NOTES).map_or(Ok(None), Self::read)
    }

    fn read(map: &Map) -> Result<Option<Record>> {
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
    map_named(program, link::COUNTS)?.map(|map| counts_of(&map)).transpose()
}

/// The same, from the map that holds them.
///
/// # Errors
/// The kernel does not let this user read it.
pub fn counts_of(map: &Map) -> Result<Counts> {
    let mut counts = Counts::default();
    for (key, count) in (0..).zip(&mut counts) {
        if let [packets, bytes] = map.sum_per_cpu(key)?[..] {
            *count = Count { packets, bytes };
        }
    }
    Ok(counts)
}

/// All maps of a program.
///
/// # Errors
/// The kernel does not let this user read them.
pub fn maps(program: &ProgramInfo) -> Result<Vec<Map>> {
    program.map_ids.iter().filter_map(|id| Map::open(*id).transpose()).collect()
}

/// A map of a program by its name; none where it has none of this name.
///
/// # Errors
/// The kernel does not let this user read the program's maps.
pub fn map_named(program: &ProgramInfo, name: &str) -> Result<Option<Map>> {
    for id in &program.map_ids {
        if let Some(map) = Map::open(*id)?
            && map.info().name == name
        {
            return Ok(Some(map));
        }
    }
    Ok(None)
}
