//! What xdpilot leaves in the kernel between two commands: pins below `/sys/fs/bpf/xdpilot`.
//!
//! `link-NAMESPACE-IFINDEX` is the link of the program on that interface (NAMESPACE is the inode of the
//! network namespace), `egress-NAMESPACE-IFINDEX` that of the one on packets that leave there, `maps-PROGRAM/NAME` a map that must outlive the command: a program array is
//! emptied, and timers stop, when nothing of user space holds their map. The rest of what xdpilot knows is
//! in the program's [`Record`](crate::record::Record).

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_kernel::pins::{self, BPFFS, Lock};

use crate::direction::Direction;

/// Takes the lock under which interfaces and pins change; says so where another command has it for long.
///
/// None where there is no BPF file system to lock: then there are no pins either.
pub fn lock() -> Option<Lock> {
    const PATIENCE: Duration = Duration::from_secs(1);
    let busy = || {
        let (over, wait) = mpsc::channel::<()>();
        thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                eprintln!("note: waiting for another xdpilot command to end");
            }
        });
        over
    };
    pins::lock(busy).ok()
}

/// Takes the lock under which backends of loaded policies change. It is held for moments only: a health check must not
/// wait until another command has loaded its program. Who needs both takes [`lock`] first.
///
/// None where nothing is loaded.
pub fn lock_pools() -> Option<Lock> {
    pins::lock_folder(&folder(), || ()).ok()
}

/// The folder of all pins.
pub fn folder() -> PathBuf {
    pins::root().join("xdpilot")
}

/// Where this process finds a path of [`BPFFS`].
pub fn reachable(path: &Path) -> PathBuf {
    path.strip_prefix(BPFFS).map_or_else(|_| path.to_owned(), |inside| pins::root().join(inside))
}

/// Where the link of an interface's program is pinned.
pub fn link_path(direction: Direction, namespace: u64, ifindex: u32) -> PathBuf {
    folder().join(format!("{}{namespace}-{ifindex}", link_prefix(direction)))
}

/// How the names of the pins of links begin.
fn link_prefix(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "link-",
        Direction::Egress => "egress-",
    }
}

/// A pinned link that xdpilot left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Where.
    pub path: PathBuf,
    /// Which packets its program sees.
    pub direction: Direction,
    /// The inode of its interface's network namespace.
    pub namespace: u64,
    /// The interface's index there.
    pub ifindex: u32,
}

/// The links that xdpilot left, in the order of their paths.
///
/// # Errors
/// This user may not look there.
pub fn links() -> Result<Vec<Pinned>> {
    let folder = folder();
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Err(Error::failed(format!("read {}", folder.display()))
                .of_kind(Kind::NotPermitted)
                .kernel("Permission denied")
                .mend("run the command with sudo"));
        }
        // There is none where nothing is loaded.
        entries => entries.into_iter().flatten().flatten(),
    };
    let mut links: Vec<Pinned> = entries.filter_map(|entry| link_at(entry.path())).collect();
    links.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(links)
}

/// The link that a path's name tells of; none where it is another.
pub fn link_at(path: PathBuf) -> Option<Pinned> {
    let name = path.file_name()?.to_str()?;
    let found =
        Direction::ALL.into_iter().find_map(|direction| Some((direction, name.strip_prefix(link_prefix(direction))?)));
    let (direction, place) = found?;
    let (namespace, ifindex) = place.split_once('-')?;
    let (namespace, ifindex) = (namespace.parse().ok()?, ifindex.parse().ok()?);
    Some(Pinned { path, direction, namespace, ifindex })
}

/// The folder of the maps that are kept for a program.
pub fn maps_folder(program: u32) -> PathBuf {
    folder().join(format!("maps-{program}"))
}

/// Makes a folder for pins, and the BPF file system where none is mounted.
///
/// # Errors
/// It is read-only, or may not be mounted.
pub fn make_folder(folder: &Path) -> Result<()> {
    pins::ensure_writable()?;
    fs::create_dir_all(folder)
        .map_err(|error| Error::failed(format!("make folder {}", folder.display())).kernel(error.to_string()))
}

/// Removes the folder of all pins where nothing is left in it.
pub fn remove_folder() {
    // It is not empty, or not there: both are as they should be.
    _ = fs::remove_dir(folder());
}

/// Removes the maps that were kept for a program.
pub fn remove_maps(program: u32) {
    let folder = maps_folder(program);
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        _ = pins::remove(&entry.path());
    }
    _ = fs::remove_dir(&folder);
}

/// Removes a pin that an object asked for, named as below [`BPFFS`], and the folders that are empty then.
///
/// # Errors
/// The pin cannot be removed.
pub fn remove_map_pin(path: &Path) -> Result<()> {
    pins::remove(&reachable(path))?;
    remove_empty_folders(path);
    Ok(())
}

/// Removes the folders of a pin, named as below [`BPFFS`], that are empty.
pub fn remove_empty_folders(pin: &Path) {
    let path = reachable(pin);
    let root = pins::root();
    for folder in path.ancestors().skip(1).take_while(|folder| *folder != root) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}
