//! The processor that this thread runs on, and how long it ran.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use xdpilot_core::error::{Error, Result};

use crate::bpf;

/// Keeps this thread on the processor that it is on; its number. Dropping the value lets it go where it might before.
#[derive(Debug)]
pub struct Pinned {
    cpu: usize,
    before: CpuSet,
}

impl Pinned {
    /// Pins this thread.
    pub fn here() -> Result<Self> {
        let refused = |errno: nix::Error| bpf::error(errno as i32, "stay on one processor");
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).map_err(refused)?;
        let cpu = sched_getcpu().map_err(refused)?;
        let mut one = CpuSet::new();
        one.set(cpu).map_err(refused)?;
        sched_setaffinity(this, &one).map_err(refused)?;
        Ok(Pinned { cpu, before })
    }

    /// The processor's number.
    pub fn cpu(&self) -> usize {
        self.cpu
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Where it fails the thread stays where it is, which harms nobody.
        sched_setaffinity(Pid::from_raw(0), &self.before).ok();
    }
}

/// The processor time that this thread has used: other threads' turns are not in it.
pub fn thread_time() -> Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map(Duration::from)
        .map_err(|errno| Error::failed("read this thread's clock").kernel(bpf::errno_text(errno as i32)))
}
