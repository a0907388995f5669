//! The programs behind the links that xdpilot left.

use xdpilot_core::error::Result;
use xdpilot_kernel::link::{Link, LinkInfo};
use xdpilot_kernel::program::ProgramInfo;

use crate::state::{self, Pinned};

/// A program behind a pinned link; it stands there if the link is alive.
#[derive(Debug)]
pub struct Linked {
    /// Where the link is pinned.
    pub pinned: Pinned,
    /// The link.
    pub link: Link,
    /// Its facts.
    pub info: LinkInfo,
    /// The program.
    pub program: ProgramInfo,
}

/// All of them, in the order of the links' paths. Links that go meanwhile are left out.
///
/// # Errors
/// The kernel does not let this user see them.
pub fn all() -> Result<Vec<Linked>> {
    let mut out = Vec::new();
    for pinned in state::links()? {
        let Ok(link) = Link::open_pinned(&pinned.path) else { continue };
        let info = link.info()?;
        out.extend(ProgramInfo::of_id(info.program_id)?.map(|program| Linked { pinned, link, info, program }));
    }
    Ok(out)
}
