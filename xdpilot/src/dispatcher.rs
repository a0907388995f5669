//! What libxdp keeps beside its dispatcher: pins of the programs that it calls and of their links, below
//! `/sys/fs/bpf/xdp/dispatch-IFINDEX-ID` (lib/libxdp/protocol.org in xdp-tools).

use std::fs;
use std::path::Path;

use xdpilot_core::error::Result;
use xdpilot_kernel::pins::{self, BPFFS};

use crate::state;

/// The name of the program that calls those that replace its functions.
pub const NAME: &str = "xdp_dispatcher";

/// Removes the pins beside a dispatcher that was taken off, as libxdp does; returns what was done.
///
/// # Errors
/// One cannot be removed.
pub fn remove_pins(ifindex: u32, id: u32) -> Result<Option<String>> {
    let folder = Path::new(BPFFS).join(format!("xdp/dispatch-{ifindex}-{id}"));
    // It is not there where LIBXDP_BPFFS led libxdp elsewhere.
    let Ok(entries) = fs::read_dir(state::reachable(&folder)) else { return Ok(None) };
    for entry in entries.flatten() {
        pins::remove(&entry.path())?;
    }
    pins::remove(&state::reachable(&folder))?;
    state::remove_empty_folders(&folder);
    Ok(Some(format!("removed libxdp's pins of the programs that it called, {}", folder.display())))
}
