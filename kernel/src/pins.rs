//! The BPF file system: where programs, maps and links are pinned.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use xdpilot_core::error::{Error, Kind, Result};

use crate::bpf;
use crate::object::ObjectRef;

/// Where the BPF file system is mounted by convention.
pub const BPFFS: &str = "/sys/fs/bpf";

/// How many folders deep [`walk`] looks.
const DEPTH: usize = 8;

/// A pinned object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub object: ObjectRef,
}

/// Whether `path` exists and lies on a BPF file system.
pub fn is_bpffs(path: &Path) -> bool {
    statfs(path).is_ok_and(|facts| facts.filesystem_type() == BPF_FS_MAGIC)
}

/// Mounts the BPF file system at [`BPFFS`] where none is mounted yet, in this thread's mount namespace.
pub fn ensure_mounted() -> Result<()> {
    if is_bpffs(Path::new(BPFFS)) {
        return Ok(());
    }
    if mounts_end_with_command() {
        return Err(Error::failed(format!("mount the BPF file system at {BPFFS}"))
            .cause(
                "this command has mounts of its own, which end with it (ip netns exec), and pins would end with them",
            )
            .mend("run it outside and name the namespace: --on netns:NAME/IFACE"));
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("bpf"), BPFFS, Some("bpf"), flags, Some("mode=0700")).map_err(|errno| {
        let error = bpf::error(errno as i32, format!("mount the BPF file system at {BPFFS}"));
        match error.kind() {
            Kind::NotPermitted => error.cause("mounting needs CAP_SYS_ADMIN").mend(format!("mount -t bpf bpf {BPFFS}")),
            _ if !Path::new(BPFFS).exists() => error.cause("the folder does not exist: is sysfs mounted at /sys?"),
            _ => error.cause("the kernel has no BPF file system (CONFIG_BPF_SYSCALL)"),
        }
    })
}

/// Whether a process that this one descends from has other mounts: then those here were made for a command.
fn mounts_end_with_command() -> bool {
    let mounts = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let parent = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok();
        parent.filter(|pid| *pid != 0)
    };
    let own = mounts(std::process::id());
    std::iter::successors(Some(std::process::id()), parent).filter_map(mounts).any(|other| Some(&other) != own.as_ref())
}

/// Held by one process at a time: what stands on interfaces and in [`BPFFS`] changes only under it.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held until it is dropped")] Flock<fs::File>);

/// Waits for the lock. It is one on the folder itself, so that nothing is left on disk.
pub fn lock() -> Result<Lock> {
    let what = || Error::failed(format!("lock {BPFFS}"));
    let folder = fs::File::open(BPFFS).map_err(|error| what().kernel(error.to_string()))?;
    let lock = Flock::lock(folder, FlockArg::LockExclusive)
        .map_err(|(_, errno)| bpf::error(errno as i32, format!("lock {BPFFS}")))?;
    Ok(Lock(lock))
}

/// Removes a pin or an empty folder of pins; no error where there is none.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::failed(format!("remove pin {}", path.display())).kernel(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// All objects pinned below `root`, by path. Symbolic links are not followed; what cannot be read, or goes away
/// meanwhile, is left out.
pub fn walk(root: &Path) -> Vec<Pin> {
    let mut pins = Vec::new();
    if is_bpffs(root) {
        walk_folder(root, DEPTH, &mut pins);
    }
    pins.sort_by(|a, b| a.path.cmp(&b.path));
    pins
}

fn walk_folder(folder: &Path, depth: usize, pins: &mut Vec<Pin>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            walk_folder(&entry.path(), depth - 1, pins);
        } else if kind.is_file() {
            pins.extend(pinned_object(&entry.path()).ok().map(|object| Pin { path: entry.path(), object }));
        }
    }
}

/// What is pinned at `path`.
pub fn pinned_object(path: &Path) -> Result<ObjectRef> {
    ObjectRef::of_fd(bpf::open_pinned(path)?.as_fd())
}
