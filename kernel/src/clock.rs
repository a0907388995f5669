//! The machine's time zone, and the time since it was started.

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

/// Nanoseconds since the machine was started, without those asleep, as programs know them (`bpf_ktime_get_ns`).
pub fn monotonic() -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the call writes the structure and keeps nothing.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    // SAFETY: zeros are a time, if the call did not write another one.
    let time = unsafe { time.assume_init() };
    let number = |part: i64| u64::try_from(part).unwrap_or(0);
    number(time.tv_sec).wrapping_mul(1_000_000_000).wrapping_add(number(time.tv_nsec))
}
