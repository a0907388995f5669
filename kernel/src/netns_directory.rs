//! Named network namespaces, as `ip netns` keeps them: nsfs bind mounts under `/run/netns`
//! (ip-netns(8), `ip/ipnetns.c` of iproute2).

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::fd::{AsFd, BorrowedFd},
    os::unix::fs::{DirBuilderExt, DirEntryExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
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

/// Whether there is such a name; it may lead nowhere (yet).
pub fn has(name: &str) -> bool {
    path(name).is_ok_and(|path| Path::new(&path).exists())
}

/// The names of the named namespaces, sorted; none where there is no `/run/netns`.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = files().map(|(name, _)| name).collect();
    names.sort_unstable();
    names
}

/// The names with the inode numbers of their files, on which the namespaces are mounted.
fn files() -> impl Iterator<Item = (String, u64)> {
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.ino())))
}

/// Which namespaces the names lead to, and what becomes of that.
///
/// A name is a mount: the kernel tells of mounts (`POLLPRI` on `/proc/self/mountinfo`, proc(5)), but not of which. When its
/// file appears, nothing is mounted there yet.
#[derive(Debug)]
pub struct Names {
    mounts: File,
    known: HashMap<String, Known>,
    round: u64,
    /// When all names were followed to their namespaces.
    followed: Instant,
    /// Whether a name may lead elsewhere since.
    owed: bool,
}

/// What is known of a name.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// The inode number of its file, on which the namespace is mounted.
    file: u64,
    /// That of the namespace.
    namespace: u64,
    /// The round in which it was seen last.
    round: u64,
}

/// Hundreds of names are followed so often at most; those whose file is a new one are at once.
const OFTEN: Duration = Duration::from_millis(500);

impl Names {
    /// Listens; what is there now is known.
    ///
    /// # Errors
    /// There is no `/proc`.
    pub fn new() -> Result<Self> {
        let mounts = File::open("/proc/self/mountinfo");
        let mounts = mounts.map_err(|error| failed("listen for mounts", &error, "is /proc mounted?"))?;
        let mut names = Names { mounts, known: HashMap::new(), round: 0, followed: Instant::now(), owed: false };
        names.look(true);
        Ok(names)
    }

    /// The names that came, went, or lead to another namespace since the last time, sorted. Where a file stayed and what is
    /// mounted there did not, that may be told the next time only, which is then due ([`Self::due`]).
    pub fn changed(&mut self) -> Vec<String> {
        let mut changed = self.look(self.followed.elapsed() >= OFTEN);
        changed.sort_unstable();
        changed
    }

    /// How long it takes until [`Self::changed`] is to be asked again, whatever happens until then.
    pub fn due(&self) -> Option<Duration> {
        self.owed.then(|| OFTEN.saturating_sub(self.followed.elapsed()))
    }

    /// The same as [`Self::changed`], in no order: all names are followed, or those whose file is a new one.
    fn look(&mut self, all: bool) -> Vec<String> {
        let mut changed = Vec::new();
        self.round += 1;
        (self.owed, self.followed) = if all { (false, Instant::now()) } else { (true, self.followed) };
        let round = self.round;
        let Some(folder) = Folder::open() else { return self.known.drain().map(|(name, _)| name).collect() };
        for (name, file) in files() {
            match self.known.get_mut(&name) {
                Some(known) if !all && known.file == file => known.round = round,
                before => {
                    let Some(namespace) = folder.leads(&name) else { continue };
                    if before.is_none_or(|known| known.namespace != namespace) {
                        changed.push(name.clone());
                    }
                    self.known.insert(name, Known { file, namespace, round });
                }
            }
        }
        changed.extend(self.known.extract_if(|_, known| known.round != round).map(|(name, _)| name));
        changed
    }
}

impl AsFd for Names {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mounts.as_fd()
    }
}

/// The folder of names, open: from there names are followed in the shortest way.
struct Folder {
    file: File,
    device: u64,
}

impl Folder {
    fn open() -> Option<Self> {
        let file = File::open(DIRECTORY).ok()?;
        let device = fstat(&file).ok()?.st_dev;
        Some(Folder { file, device })
    }

    /// The inode number of the namespace that a name leads to.
    fn leads(&self, name: &str) -> Option<u64> {
        let found = fstatat(&self.file, name, AtFlags::empty()).ok()?;
        // Nothing is mounted on a plain file: it has the number of its folder's file system.
        (found.st_dev != self.device).then_some(found.st_ino)
    }
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
