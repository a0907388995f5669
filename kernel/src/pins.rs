//! The BPF file system: where programs, maps and links are pinned.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
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

/// Where this process finds [`BPFFS`]: there, or where nothing is mounted there, as the nearest of its ancestors sees
/// it that has it. `ip netns exec` gives its command mounts of its own, with an empty `/sys`.
pub fn root() -> PathBuf {
    let own = PathBuf::from(BPFFS);
    if is_bpffs(&own) {
        return own;
    }
    let theirs = ancestors().into_iter().map(|pid| PathBuf::from(format!("/proc/{pid}/root{BPFFS}")));
    theirs.into_iter().find(|path| is_bpffs(path)).unwrap_or(own)
}

/// The parent of this process, its parent, and so on.
fn ancestors() -> Vec<u32> {
    let mut found = Vec::new();
    let mut pid = std::process::id();
    while let Some(parent) = parent(pid).filter(|parent| *parent != 0) {
        found.push(parent);
        pid = parent;
    }
    found
}

/// The fourth field of `/proc/PID/stat`. The second, the name in parentheses, may hold anything.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Mounts the BPF file system at [`BPFFS`] where [`root`] finds none.
///
/// # Errors
/// It may not be mounted, or would be gone with this process since the mounts are its own.
pub fn ensure_mounted() -> Result<()> {
    if is_bpffs(&root()) {
        return Ok(());
    }
    if mounts_are_private() {
        return Err(Error::failed(format!("mount the BPF file system at {BPFFS}"))
            .cause("this process has mounts of its own, and what is pinned in one of them is gone when it ends")
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

/// As [`ensure_mounted`], and makes sure that this process can pin there: a service's sandbox may show it read-only.
///
/// # Errors
/// It may not be mounted, or is read-only.
pub fn ensure_writable() -> Result<()> {
    ensure_mounted()?;
    let root = root();
    let is_read_only = statvfs(&root).is_ok_and(|facts| facts.flags().contains(FsFlags::ST_RDONLY));
    if !is_read_only {
        return Ok(());
    }
    let mend =
        format!("mount -o remount,rw {BPFFS}; in a unit of systemd: ReadWritePaths={BPFFS}, no ProtectKernelTunables=");
    Err(bpf::error(Errno::EROFS as i32, format!("pin below {}", root.display()))
        .cause("it is mounted read-only for this process")
        .mend(mend))
}

/// Whether an ancestor has other mounts; no where that cannot be seen.
fn mounts_are_private() -> bool {
    let mounts = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let own = mounts(std::process::id());
    ancestors().into_iter().filter_map(mounts).any(|theirs| own.as_ref().is_some_and(|own| *own != theirs))
}

/// Held by one process at a time: what stands on interfaces and below [`root`] changes only under that of [`lock`].
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held until it is dropped")] Flock<fs::File>);

/// Takes the lock. Before it waits for another process it calls `busy`, and drops what that returns when the wait is
/// over. The lock is one on the folder itself, so that nothing is left on disk.
///
/// # Errors
/// The folder is not there, or may not be opened.
pub fn lock<W>(busy: impl FnOnce() -> W) -> Result<Lock> {
    lock_folder(&root(), busy)
}

/// The same for what is about one folder only.
///
/// # Errors
/// As [`lock`].
pub fn lock_folder<W>(folder: &Path, busy: impl FnOnce() -> W) -> Result<Lock> {
    let what = || format!("lock {}", folder.display());
    let folder = fs::File::open(folder).map_err(|error| Error::failed(what()).kernel(error.to_string()))?;
    let lock = Flock::lock(folder, FlockArg::LockExclusiveNonblock).or_else(|(folder, errno)| {
        let _waiting = (errno == Errno::EWOULDBLOCK).then(busy);
        Flock::lock(folder, FlockArg::LockExclusive)
    });
    lock.map(Lock).map_err(|(_, errno)| bpf::error(errno as i32, what()))
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
