//! What the agent's own process is like.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Figures of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    /// Seconds of processors.
    pub(super) cpu: f64,
    /// Bytes of memory.
    pub(super) memory: u64,
    /// Open descriptors.
    pub(super) descriptors: usize,
    /// When it began, in seconds since 1970.
    pub(super) begun: f64,
}

static BEGUN: OnceLock<SystemTime> = OnceLock::new();

/// Takes note of when the process began.
pub(super) fn begin() {
    BEGUN.get_or_init(SystemTime::now);
}

/// The figures now; what cannot be read is 0.
pub(super) fn figures() -> Figures {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let cpu = usage.map_or(0, |usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds());
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    let begun = BEGUN.get().and_then(|begun| begun.duration_since(UNIX_EPOCH).ok());
    Figures {
        cpu: cpu as f64 / 1e6,
        memory: kilobytes.unwrap_or(0u64) << 10,
        descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
        begun: begun.map_or(0.0, |begun| begun.as_secs_f64()),
    }
}

/// Whether it is the user of this process.
pub(super) fn is_own_user(uid: u32) -> bool {
    fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == uid)
}

/// A user's name, or the number where there is none.
pub(super) fn user(uid: u32) -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_string())
    });
    named.unwrap_or_else(|| if uid == 0 { "root".to_string() } else { format!("uid {uid}") })
}
