//! From the bytes of an object to a program in the kernel: modernize, wrap, load, and mend what the kernel refuses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use xdpilot_core::btf::{Btf, kind};
use xdpilot_core::diagnose::{Facts, Stage, explain, explain_by, telling};
use xdpilot_core::error::Error;
use xdpilot_core::modernize::{Choice, Machine, Modern, Options, fill_program_arrays, map_type, modernize, pin_path};
use xdpilot_core::object::{self, FunctionId, Object, Pinning};
use xdpilot_core::transmit::may_transmit;
use xdpilot_core::{elf, link};
use xdpilot_kernel::load::{self, Device, LoadError, Loaded, ProgramKind, Request};
use xdpilot_kernel::machine;
use xdpilot_kernel::map::Map;

use crate::direction::Direction;
use crate::record::{self, Record};
use crate::source::Input;
use crate::state;

/// What to load and how.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The object or policy.
    pub input: &'a Input,
    /// Which program.
    pub choice: &'a Choice,
    /// Leave the program as it is: no counting.
    pub bare: bool,
    /// The interface's index, for programs that ask their device for metadata.
    pub ifindex: u32,
    /// Whether the program runs on the interface's hardware.
    pub offload: bool,
    /// Log all that libbpf and the verifier say.
    pub verbose: bool,
    /// Maps of the program that it takes the place of, which it goes on with.
    pub shared: &'a [Map],
}

impl Wanted<'_> {
    /// The object's bytes; none where it was made here.
    fn elf(&self) -> &[u8] {
        match self.input {
            Input::Object(source) => &source.elf,
            Input::Policy(_) => &[],
        }
    }

    fn kind(&self) -> ProgramKind {
        match self.input {
            Input::Policy(policy) if policy.direction == Direction::Egress => ProgramKind::Classifier,
            _ => ProgramKind::Xdp,
        }
    }
}

/// A program in the kernel, not attached yet.
#[derive(Debug)]
pub struct Program {
    /// The object; the kernel drops it when this is dropped, unless something else holds it.
    pub loaded: Loaded,
    /// What it was loaded from, for messages.
    pub source: String,
    /// What was changed on the way, a sentence each.
    pub notes: Vec<String>,
    /// Whether its verdicts are counted.
    pub wrapped: bool,
    /// Maps to be pinned once it is attached: name and path.
    pub pins: Vec<(String, PathBuf)>,
    /// Names of the maps that must stay although nothing of user space holds them.
    pub keep: Vec<String>,
    /// Whether it may send frames back.
    pub sends: bool,
}

/// What is changed from one try to the next.
#[derive(Clone, Debug)]
struct Trial {
    options: Options,
    wrap: bool,
    device: Device,
    notes: Vec<String>,
}

/// An entry count that any machine has the memory for.
const SMALL_INTERFACE_MAP: u32 = 65_536;

/// Loads the chosen program. `record` travels with it.
///
/// # Errors
/// The object has no such program, or the kernel refuses it in every form.
pub fn load(wanted: &Wanted<'_>, record: &Record) -> Result<Program, LoadError> {
    let (object, mut notes) = match wanted.input {
        Input::Object(source) => elf::read(&source.elf).map_err(|e| e.context(&record.source))?,
        Input::Policy(policy) => (policy.object.clone(), Vec::new()),
    };
    let possible_cpus = u32::try_from(machine::possible_cpus()?).unwrap_or(u32::MAX);
    let machine = Machine { possible_cpus, ..Machine::default() };
    let mut trial = Trial {
        options: Options { choice: wanted.choice.clone(), machine, ..Options::default() },
        // What leaves has other verdicts, and a card has no room for them.
        wrap: !wanted.bare && !wanted.offload && wanted.kind() == ProgramKind::Xdp,
        device: if wanted.offload { Device::Offload(wanted.ifindex) } else { Device::None },
        notes: Vec::new(),
    };
    loop {
        let mut modern = match wanted.input {
            Input::Object(_) => modernize(object.clone(), &trial.options).map_err(|e| e.context(&record.source))?,
            // The code generator makes what libbpf takes; its first function is the program.
            Input::Policy(_) => Modern { object: object.clone(), entry: FunctionId(0), notes: Vec::new() },
        };
        if trial.device == Device::None && asks_for_metadata(&modern.object) {
            trial.device = Device::Bound(wanted.ifindex);
        }
        if trial.wrap
            && let Some(obstacle) = link::obstacle(&modern.object)
        {
            trial.wrap = false;
            trial.notes.push(format!("loaded bare, without verdict counts: {obstacle}"));
        }
        match attempt(wanted, record, &trial, &mut modern) {
            Ok(mut program) => {
                notes.append(&mut modern.notes);
                notes.append(&mut trial.notes);
                program.notes = notes;
                return Ok(program);
            }
            Err(failure) => trial = mend(wanted, &trial, &object, &failure).ok_or(failure)?,
        }
    }
}

fn attempt(wanted: &Wanted<'_>, record: &Record, trial: &Trial, modern: &mut Modern) -> Result<Program, LoadError> {
    let pins = take_pins(&mut modern.object, wanted.elf());
    let (shared, pins): (Vec<_>, Vec<_>) = pins.into_iter().partition(|(_, path)| state::reachable(path).exists());
    // A pin that was there before xdpilot stays when its last user goes.
    let ours = if shared.is_empty() { BTreeSet::new() } else { record::all_pins()? };
    let keep = modern.object.maps.iter().filter(|map| needs_holder(map, modern.object.btf.as_ref()));
    let keep =
        keep.filter(|map| !shared.iter().any(|(pinned, _)| *pinned == map.name)).map(|m| m.name.clone()).collect();
    let sends = match wanted.input {
        Input::Object(_) => may_transmit(&modern.object),
        Input::Policy(policy) => policy.sends(),
    };
    let entry = modern.object.function(modern.entry).name.clone();
    let also: Vec<String> = modern
        .object
        .functions
        .iter()
        .filter(|f| f.section.starts_with("xdp") && f.name != entry)
        .map(|f| f.name.clone())
        .collect();
    if trial.wrap {
        link::wrap(modern);
    }
    let mut record = record.clone();
    (record.sends, record.companion, record.serves) = (sends, false, None);
    record.pins.extend(pins.iter().map(|(_, path)| path.clone()));
    record.pins.extend(shared.iter().filter(|(_, path)| ours.contains(path)).map(|(_, path)| path.clone()));
    // A card takes few kinds of maps, none for notes.
    if !wanted.offload {
        record.attach_to(&mut modern.object);
    }
    let elf = elf::write(&modern.object);
    let also: Vec<&str> = also.iter().map(String::as_str).collect();
    let shared: Vec<_> = shared.into_iter().map(|(name, path)| (name, state::reachable(&path))).collect();
    let pinned_maps: Vec<(&str, &Path)> = shared.iter().map(|(name, path)| (name.as_str(), path.as_path())).collect();
    let shared_maps: Vec<(&str, &Map)> = wanted.shared.iter().map(|map| (map.info().name.as_str(), map)).collect();
    let name = object_name(wanted.input.name());
    let request = Request {
        elf: &elf,
        name: &name,
        entry: &entry,
        kind: wanted.kind(),
        also: &also,
        device: trial.device,
        pinned_maps: &pinned_maps,
        shared_maps: &shared_maps,
        verbose: wanted.verbose,
    };
    let loaded = load::load(&request)?;
    Ok(Program { loaded, source: record.source, notes: Vec::new(), wrapped: trial.wrap, pins, keep, sends })
}

/// The next try after a refusal; none where nothing is left to change.
fn mend(wanted: &Wanted<'_>, trial: &Trial, object: &Object, failure: &LoadError) -> Option<Trial> {
    let mut next = trial.clone();
    let says = |texts: &[&str]| texts.iter().any(|text| failure.log.contains(text));
    let license_missing =
        says(&["GPL-restricted function from non-GPL", "kernel function from non-GPL", "cannot call GPL"]);
    let out_of_memory = matches!(failure.error.errno_value(), Some(7 | 12));
    if license_missing && object.license.is_none() && next.options.license.is_none() {
        next.options.license = Some("GPL".into());
    } else if says(&["require device-bound program"]) && next.device == Device::None {
        next.device = Device::Bound(wanted.ifindex);
    } else if says(&["Error loading .BTF into kernel", "BTF loading error", "-- BEGIN BTF LOAD LOG --"])
        && !next.options.rebuild_btf
    {
        next.options.rebuild_btf = true;
    } else if out_of_memory
        && says(&["failed to create"])
        && next.options.machine.interface_map_limit > SMALL_INTERFACE_MAP
    {
        next.options.machine.interface_map_limit = SMALL_INTERFACE_MAP;
    } else if let Some(member) =
        refused_member(object, wanted, &failure.log).filter(|m| !next.options.without.contains(m))
    {
        let why = failure.error.kernel_words().and_then(|words| words.lines().next()).unwrap_or("no reason given");
        next.notes.push(format!("tail calls to {member} fall through: the kernel refuses that program ({why})"));
        next.options.without.push(member);
    } else if next.wrap {
        next.wrap = false;
        let why =
            failure.error.kernel_words().and_then(|words| words.lines().next()).unwrap_or("the kernel gives no reason");
        next.notes.push(format!("loaded bare, without verdict counts: the kernel refuses it wrapped ({why})"));
    } else {
        return None;
    }
    Some(next)
}

/// The member of a program array that libbpf says it could not load.
fn refused_member(object: &Object, wanted: &Wanted<'_>, log: &str) -> Option<String> {
    let mut object = object.clone();
    fill_program_arrays(&mut object);
    let members: Vec<&str> =
        object.tail_call_targets().into_iter().map(|id| object.function(id).name.as_str()).collect();
    let mut refused = log.lines().filter(|line| line.contains("failed to load")).filter_map(|line| {
        let name = line.split_once("prog '")?.1.split_once('\'')?.0;
        members.contains(&name).then(|| name.to_string())
    });
    refused.next_back().filter(|name| wanted.choice.program.as_ref() != Some(name))
}

/// Puts a refusal into words: the telling line, its cause and what mends it.
pub fn refusal(failure: LoadError, facts: &Facts) -> Error {
    match telling(&failure.log) {
        Some(_) => explain_by(failure.error, Stage::Load, &failure.log, facts),
        None => explain(failure.error, Stage::Load, facts),
    }
}

/// Takes the pinning out of the maps: existing pins are shared, new ones are made only once the program is attached.
fn take_pins(object: &mut Object, elf: &[u8]) -> Vec<(String, PathBuf)> {
    let mut hash = None;
    let mut out = Vec::new();
    for map in object.maps.iter_mut().filter(|map| map.pinning != Pinning::None) {
        let hash =
            hash.get_or_insert_with(|| Sha1::digest(elf).iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        out.extend(pin_path(map, hash).map(|path| (map.name.clone(), PathBuf::from(path))));
        map.pinning = Pinning::None;
    }
    out
}

/// Whether the kernel forgets what is in a map when nothing of user space holds it:
/// program arrays (`bpf_fd_array_map_clear`) and values with timers (`bpf_obj_free_timer`).
fn needs_holder(map: &object::Map, btf: Option<&Btf>) -> bool {
    let has_timer = |id| btf.is_some_and(|btf| holds_timer(btf, id, 8));
    map.shape.kind == map_type::PROG_ARRAY || map.shape.value_type.is_some_and(has_timer)
}

fn holds_timer(btf: &Btf, id: u32, depth: u32) -> bool {
    let id = btf.resolve(id);
    let Some(t) = btf.get(id).filter(|_| depth > 0) else { return false };
    match t.kind {
        kind::ARRAY => t.tail.first().is_some_and(|element| holds_timer(btf, *element, depth - 1)),
        kind::STRUCT if matches!(btf.name(id), "bpf_timer" | "bpf_wq") => true,
        kind::STRUCT | kind::UNION => btf.members(id).any(|(_, member, _)| holds_timer(btf, member, depth - 1)),
        _ => false,
    }
}

/// Whether the program calls kernel functions that only programs bound to a device may call.
fn asks_for_metadata(object: &Object) -> bool {
    object.externs.iter().any(|e| e.name.starts_with("bpf_xdp_metadata_rx_"))
}

/// libbpf puts the first characters of the object's name before the names of its data maps.
fn object_name(name: &str) -> String {
    let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("xdp");
    stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
