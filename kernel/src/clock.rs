//! The machine's time zone.

use std::mem::MaybeUninit;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::libc;

/// Seconds that local time is ahead of UTC at this moment, by `TZ` or `/etc/localtime`.
pub fn utc_offset(time: SystemTime) -> i64 {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()) as libc::time_t;
    let mut local = MaybeUninit::<libc::tm>::uninit();
    // SAFETY: reads one number, and writes the structure before it returns a pointer to it.
    let filled = unsafe { !libc::localtime_r(&seconds, local.as_mut_ptr()).is_null() };
    // SAFETY: the call has filled it.
    if filled { unsafe { local.assume_init() }.tm_gmtoff } else { 0 }
}
