//! Who keeps programs, maps and links alive: processes by descriptors, and pins.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::object::ObjectRef;
use crate::pins;

/// A process that holds an object open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id, in the PID namespace of `/proc`.
    pub pid: u32,
    /// Its name, at most 15 characters (`/proc/PID/comm`).
    pub comm: String,
}

/// The holders of all BPF objects at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owners {
    processes: BTreeMap<ObjectRef, Vec<Process>>,
    pins: BTreeMap<ObjectRef, Vec<PathBuf>>,
}

impl Owners {
    /// Looks at the descriptors of all processes in `/proc` and at all pins below `/sys/fs/bpf`.
    ///
    /// Processes of other users, and those that end meanwhile, are left out where they cannot be read.
    pub fn scan() -> Self {
        let mut owners = Owners::default();
        for pid in process_ids() {
            owners.add_process(pid);
        }
        for pin in pins::walk(&pins::root()) {
            owners.pins.entry(pin.object).or_default().push(pin.path);
        }
        owners
    }

    /// The processes that hold the object, by pid.
    pub fn processes(&self, object: ObjectRef) -> &[Process] {
        self.processes.get(&object).map_or(&[], Vec::as_slice)
    }

    /// The paths where the object is pinned.
    pub fn pins(&self, object: ObjectRef) -> &[PathBuf] {
        self.pins.get(&object).map_or(&[], Vec::as_slice)
    }

    fn add_process(&mut self, pid: u32) {
        let mut objects = held_objects(Path::new(&format!("/proc/{pid}")));
        if objects.is_empty() {
            return;
        }
        let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let process = Process { pid, comm: comm.trim_end().to_owned() };
        objects.sort();
        objects.dedup();
        for object in objects {
            self.processes.entry(object).or_default().push(process.clone());
        }
    }
}

/// The processes in `/proc`, ascending.
fn process_ids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}

/// The BPF objects among a process's descriptors.
///
/// `fd/N` links to `anon_inode:bpf-prog`, `bpf-map` or `bpf_link`: cheaper to ask than each fdinfo text.
fn held_objects(process: &Path) -> Vec<ObjectRef> {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    descriptors
        .flatten()
        .filter(|entry| {
            fs::read_link(entry.path()).is_ok_and(|target| target.to_string_lossy().starts_with("anon_inode:"))
        })
        .filter_map(|entry| {
            let text = fs::read_to_string(process.join("fdinfo").join(entry.file_name())).ok()?;
            ObjectRef::of_fdinfo(&text)
        })
        .collect()
}
