//! Named network namespaces, as `ip netns` keeps them: nsfs bind mounts under `/run/netns`
//! (ip-netns(8), `ip/ipnetns.c` of iproute2).

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::stat::{fstat, fstatat},
};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::near::suggestion;

use crate::namespace::{Namespace, failed, on_own_thread};

/// Where the names are.
const DIRECTORY: &str = "/run/netns";

/// The path of a named namespace. A name that cannot be a file name there is a usage error.
pub(crate) fn path(name: &str) -> Result<String> {
    let sound = !name.is_empty() && name.len() < 256 && name != "." && name != ".." && !name.contains(['/', '\0']);
    if sound {
        Ok(format!("{DIRECTORY}/{name}"))
    } else {
        Err(Error::usage(format!("{name:?} is no name for a network namespace"))
            .cause("a name is one to 255 bytes without a slash"))
    }
}

/// The names of the named namespaces, sorted; none where there is no `/run/netns`.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = entries().collect();
    names.sort_unstable();
    names
}

fn entries() -> impl Iterator<Item = String> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Which namespaces the names lead to, and what becomes of that.
///
/// A name is a mount: the kernel tells of mounts (`POLLPRI` on `/proc/self/mountinfo`, proc(5)). When its file appears,
/// nothing is mounted there yet.
#[derive(Debug)]
pub struct Names {
    mounts: File,
    /// With the round in which each was seen last.
    known: HashMap<String, (u64, u64)>,
    round: u64,
}

impl Names {
    /// Listens; what is there now is known.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn new() -> Result<Self> {
        let mounts = File::open("/proc/self/mountinfo");
        let mounts = mounts.map_err(|error| failed("listen for mounts", &error, "is /proc mounted?"))?;
        let known = inodes().into_iter().map(|(name, inode)| (name, (inode, 0))).collect();
        Ok(Names { mounts, known, round: 0 })
    }

    /// The names that came, went, or lead to another namespace since the last time, sorted.
    pub fn changed(&mut self) -> Vec<String> {
        let mut changed = Vec::new();
        self.round += 1;
        for (name, inode) in inodes() {
            match self.known.get_mut(&name) {
                Some((known, seen)) if *known == inode => *seen = self.round,
                _ => {
                    self.known.insert(name.clone(), (inode, self.round));
                    changed.push(name);
                }
            }
        }
        let round = self.round;
        changed.extend(self.known.extract_if(|_, (_, seen)| *seen != round).map(|(name, _)| name));
        changed.sort_unstable();
        changed
    }
}

impl AsFd for Names {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mounts.as_fd()
    }
}

/// The names with the inode numbers of the namespaces that they lead to.
fn inodes() -> Vec<(String, u64)> {
    // Hundreds of names are looked at with each mount: from the open folder that takes the shortest way.
    let Ok(folder) = File::open(DIRECTORY) else { return Vec::new() };
    let Ok(itself) = fstat(&folder) else { return Vec::new() };
    let leads = |name: String| {
        let file = fstatat(&folder, name.as_str(), AtFlags::empty()).ok()?;
        // Nothing is mounted on a plain file: it has the number of its folder's file system.
        (file.st_dev != itself.st_dev).then_some((name, file.st_ino))
    };
    entries().filter_map(leads).collect()
}

/// Makes a new, empty network namespace of this name, as `ip netns add` does. Its loopback is down.
/// It lives until [`delete`], whatever becomes of this process.
pub fn create(name: &str) -> Result<Namespace> {
    let path = path(name)?;
    let what = format!("create the network namespace {name}");
    prepare_directory(&what)?;
    OpenOptions::new().write(true).create_new(true).mode(0o000).open(&path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Error::failed(&what)
            .kernel(Errno::EEXIST.desc())
            .errno(Errno::EEXIST as i32)
            .cause("a namespace of this name exists")
            .mend(format!("ip netns delete {name}")),
        _ => failed(&what, &error, "/run/netns cannot be written to"),
    })?;
    let made = on_own_thread(|| -> nix::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        mount(Some("/proc/thread-self/ns/net"), path.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
    });
    if let Err(error) = made.and_then(|made| made.map_err(io::Error::from)) {
        // The error that matters is the first one; the leftover is an empty file.
        let _ = fs::remove_file(&path);
        return Err(failed(&what, &error, "this process may not make or mount namespaces"));
    }
    Namespace::named(name)
}

/// Takes the name away, as `ip netns delete` does. The namespace itself ends when its last process,
/// handle and socket are gone.
pub fn delete(name: &str) -> Result<()> {
    let path = path(name)?;
    let what = format!("delete the network namespace {name}");
    let unmounted = umount2(path.as_str(), MntFlags::MNT_DETACH);
    match (fs::remove_file(&path), unmounted) {
        (Ok(()), _) => Ok(()),
        (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {
            Err(Error::usage(what).cause(suggestion(name, "named network namespaces", &names())).mend("ip netns list"))
        }
        // EBUSY on removal only says that the unmount failed; its own reason is the telling one.
        (Err(_), Err(errno)) => Err(failed(&what, &errno.into(), "the name is mounted and cannot be unmounted")),
        (Err(error), Ok(())) => Err(failed(&what, &error, "the name is still mounted somewhere")),
    }
}

/// Makes `/run/netns` and a shared mount of it, so that an unmount reaches every mount namespace: a
/// private copy left somewhere would keep a deleted namespace alive.
fn prepare_directory(what: &str) -> Result<()> {
    let refused = |error: &io::Error| failed(what, error, "/run/netns cannot be made a shared mount");
    DirBuilder::new().recursive(true).mode(0o755).create(DIRECTORY).map_err(|error| refused(&error))?;
    // The lock that `ip netns` takes too: two that prepare at once would mount twice.
    let directory = File::open(DIRECTORY).map_err(|error| refused(&error))?;
    let _lock = Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, errno)| refused(&errno.into()))?;
    if share() == Err(Errno::EINVAL) {
        // Not a mount point yet.
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(DIRECTORY), DIRECTORY, None::<&str>, flags, None::<&str>).map_err(|errno| refused(&errno.into()))?;
    }
    share().map_err(|errno| refused(&errno.into()))
}

fn share() -> nix::Result<()> {
    mount(None::<&str>, DIRECTORY, None::<&str>, MsFlags::MS_SHARED | MsFlags::MS_REC, None::<&str>)
}
