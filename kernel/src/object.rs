//! Names of kernel BPF objects: a kind and an id.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::{fmt, fs};

use xdpilot_core::error::{Error, Result};

/// What a BPF descriptor or pin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A program.
    Program,
    /// A map.
    Map,
    /// A link: it holds a program at its hook.
    Link,
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ObjectKind::Program => "program",
            ObjectKind::Map => "map",
            ObjectKind::Link => "link",
        })
    }
}

/// One BPF object of the running kernel. Ids are counted per kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id, as bpftool prints it.
    pub id: u32,
}

impl ObjectRef {
    /// The program of this id.
    pub fn program(id: u32) -> Self {
        ObjectRef { kind: ObjectKind::Program, id }
    }

    /// The map of this id.
    pub fn map(id: u32) -> Self {
        ObjectRef { kind: ObjectKind::Map, id }
    }

    /// The link of this id.
    pub fn link(id: u32) -> Self {
        ObjectRef { kind: ObjectKind::Link, id }
    }

    /// What a BPF descriptor of any kind refers to.
    ///
    /// The kernel describes it in `/proc/self/fdinfo` (`bpf_prog_show_fdinfo` and its like in
    /// `kernel/bpf/syscall.c`). Fails for descriptors of other things.
    pub fn of_fd(fd: BorrowedFd<'_>) -> Result<Self> {
        let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
        let text = fs::read_to_string(&path)
            .map_err(|error| Error::failed(format!("read {path}")).kernel(error.to_string()))?;
        Self::of_fdinfo(&text)
            .ok_or_else(|| Error::usage(format!("descriptor {}", fd.as_raw_fd())).cause("it is no BPF object"))
    }

    /// An error where it is something else than `kind`; `place` is where it was found.
    pub(crate) fn expect_kind(self, kind: ObjectKind, place: &Path) -> Result<()> {
        if self.kind == kind {
            return Ok(());
        }
        let cause = format!("it holds a {}, not a {}", self.kind, kind);
        Err(Error::usage(format!("open {}", place.display())).cause(cause))
    }

    /// What the text of an fdinfo file describes. A link names its program too, so the link's line decides.
    pub(crate) fn of_fdinfo(text: &str) -> Option<Self> {
        let id = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
            line.trim().parse().ok()
        };
        id("link_id")
            .map(Self::link)
            .or_else(|| id("map_id").map(Self::map))
            .or_else(|| id("prog_id").map(Self::program))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_links_fdinfo_is_a_link() {
        let text = "pos:\t0\nlink_type:\txdp\nlink_id:\t7\nprog_tag:\t00\nprog_id:\t9\nifindex:\t2\n";
        assert_eq!(ObjectRef::of_fdinfo(text), Some(ObjectRef::link(7)));
        assert_eq!(ObjectRef::of_fdinfo("prog_type:\t6\nprog_id:\t9\n"), Some(ObjectRef::program(9)));
        assert_eq!(ObjectRef::of_fdinfo("map_type:\t2\nmap_id:\t4\n"), Some(ObjectRef::map(4)));
        assert_eq!(ObjectRef::of_fdinfo("pos:\t0\nflags:\t02\n"), None);
    }
}
