//! Network namespaces: handles, entering, and finding every one that can be reached.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic, thread,
};

use nix::{
    errno::Errno,
    libc,
    sched::{CloneFlags, setns, unshare},
    sys::{
        stat::fstat,
        statfs::{NSFS_MAGIC, fstatfs},
    },
    unistd::geteuid,
};
use xdpilot_core::error::{Error, Kind, Result};

use xdpilot_core::near::suggestion;

use crate::netns_directory;

/// A handle on a network namespace; the namespace lives at least as long as this does.
#[derive(Debug)]
pub struct Namespace {
    fd: OwnedFd,
    inode: u64,
}

/// A network namespace together with the ways that lead to it.
#[derive(Debug)]
pub struct Reachable {
    /// The handle.
    pub namespace: Namespace,
    /// Its names under `/run/netns`, sorted.
    pub names: Vec<String>,
    /// The lowest id of a process that lives in it, as seen through `/proc`.
    pub pid: Option<u32>,
}

impl Namespace {
    /// The namespace of the calling thread.
    pub fn current() -> Result<Self> {
        Self::open("/proc/thread-self/ns/net")
            .map_err(|error| failed("find the network namespace of this thread", &error, "is /proc mounted?"))
    }

    /// A new, empty namespace without a name: only its loopback is there, and it is down.
    pub fn new() -> Result<Self> {
        let made = on_own_thread(|| unshare(CloneFlags::CLONE_NEWNET).map(|()| Self::current()));
        made.and_then(|made| made.map_err(io::Error::from))
            .map_err(|error| failed("make a network namespace", &error, "this process may not make namespaces"))?
    }

    /// The namespace of a process. Another user's process takes root (or `CAP_SYS_PTRACE`).
    pub fn of_pid(pid: u32) -> Result<Self> {
        Self::open(&format!("/proc/{pid}/ns/net")).map_err(|error| {
            let what = format!("find the network namespace of process {pid}");
            match error.kind() {
                io::ErrorKind::NotFound => Error::usage(what)
                    .cause("there is no such process, or it has ended")
                    .mend("ps -e lists the processes"),
                _ => failed(&what, &error, "the process belongs to another user, or is a zombie"),
            }
        })
    }

    /// The namespace that `ip netns` knows by this name, bound under `/run/netns`.
    pub fn named(name: &str) -> Result<Self> {
        let what = || format!("find the network namespace {name}");
        let path = netns_directory::path(name)?;
        Self::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::usage(what())
                .cause(suggestion(name, "named network namespaces", &netns_directory::names()))
                .mend("ip netns list"),
            io::ErrorKind::InvalidData => Error::failed(what())
                .cause(format!("{path} is a plain file: the namespace behind it is gone, or mounted elsewhere"))
                .mend(format!("ip netns delete {name}")),
            _ => failed(&what(), &error, "the name is bound to something that cannot be opened"),
        })
    }

    /// A second handle on the same namespace.
    pub fn try_clone(&self) -> Result<Self> {
        let fd = self.fd.try_clone();
        let fd = fd.map_err(|error| {
            failed("duplicate the handle of a network namespace", &error, "too many files are open")
        })?;
        Ok(Namespace { fd, inode: self.inode })
    }

    /// Opens a file and makes sure that it stands for a namespace (else `InvalidData`).
    fn open(path: &str) -> io::Result<Self> {
        let fd = OwnedFd::from(File::open(path)?);
        if fstatfs(&fd)?.filesystem_type() != NSFS_MAGIC {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a namespace"));
        }
        let inode = fstat(&fd)?.st_ino;
        Ok(Namespace { fd, inode })
    }

    /// The inode number on nsfs: two handles with the same number are the same namespace.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// Runs the closure inside this namespace, on a thread of its own that ends with it; when the
    /// calling thread is in this namespace already, right here (which takes no privilege).
    ///
    /// Only the network namespace is entered: files, mounts (`/sys/fs/bpf`, `/proc`) and processes
    /// stay those of the caller. `/sys/class/net` shows the mount's namespace, so ask netlink instead.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        if Namespace::current().is_ok_and(|current| current.inode == self.inode) {
            return work();
        }
        let entered = || {
            setns(&self.fd, CloneFlags::CLONE_NEWNET).map_err(|errno| self.entering_failed(errno))?;
            work()
        };
        on_own_thread(entered).map_err(|error| failed("start a thread", &error, "too many threads"))?
    }

    fn entering_failed(&self, errno: Errno) -> Error {
        let what = format!("enter the network namespace net:[{}]", self.inode);
        failed(&what, &errno.into(), "entering a namespace takes CAP_SYS_ADMIN in it and here")
    }

    /// Every distinct network namespace that can be reached: the calling thread's, those named under
    /// `/run/netns`, and those of the processes in `/proc`. Sorted by inode number.
    ///
    /// What may not be looked at (no root, hidden processes, no `/run/netns`) is left out.
    pub fn all() -> Vec<Reachable> {
        let mut found = BTreeMap::new();
        for name in netns_directory::names() {
            let namespace = netns_directory::path(&name).ok().and_then(|path| Self::open(&path).ok());
            if let Some(entry) = namespace.map(|namespace| entry(&mut found, namespace)) {
                entry.names.push(name);
            }
        }
        for pid in process_ids() {
            if let Ok(namespace) = Self::open(&format!("/proc/{pid}/ns/net")) {
                entry(&mut found, namespace).pid.get_or_insert(pid);
            }
        }
        if let Ok(namespace) = Self::current() {
            entry(&mut found, namespace);
        }
        found.into_values().collect()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl PartialEq for Namespace {
    fn eq(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

impl Eq for Namespace {}

/// The entry of this namespace, made when it is new. A second handle on a known one is closed.
fn entry(found: &mut BTreeMap<u64, Reachable>, namespace: Namespace) -> &mut Reachable {
    found.entry(namespace.inode).or_insert_with(|| Reachable { namespace, names: Vec::new(), pid: None })
}

/// The process ids in `/proc`, ascending.
fn process_ids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

/// Runs the closure on a thread that is gone afterwards, so that its namespace change dies with it.
pub(crate) fn on_own_thread<T: Send>(work: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("netns".into()).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic)))
    })
}

/// An error from an errno: EPERM and EACCES become [`Kind::NotPermitted`], else `cause` is added.
pub(crate) fn failed(what: &str, error: &io::Error, cause: &str) -> Error {
    let errno = error.raw_os_error().unwrap_or(0);
    let words = if errno == 0 { error.to_string() } else { Errno::from_raw(errno).desc().to_string() };
    let described = Error::failed(what).kernel(words).errno(errno).cause(cause);
    match errno {
        libc::EPERM | libc::EACCES => {
            let mend = if geteuid().is_root() { CAPABILITY } else { "run it as root" };
            described.of_kind(Kind::NotPermitted).mend(mend)
        }
        _ => described,
    }
}

/// What root lacks that is not permitted to do something.
const CAPABILITY: &str =
    "give it its capabilities: --privileged for a container, CapabilityBoundingSet= in a unit of systemd";
