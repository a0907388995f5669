//! The trampoline in the kernel, and the time that one of its test runs takes.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::{elf, trampoline};
use xdpilot_kernel::cpu::thread_time;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::test_run::{self, TestRun};

use super::trace::Trace;

/// The trampoline with the packets of a trace, on its way to one program.
#[derive(Debug)]
pub(super) struct Harness {
    loaded: Loaded,
    state: Map,
    target: Map,
    /// Where the trampoline is attached, and no packet comes. Else each test run would wait for the kernel to make the
    /// trampoline one of those that it calls directly, and to take that back (`bpf_dispatcher_change_prog`).
    _place: Option<(Namespace, Link)>,
}

/// The loopback's index in any namespace.
const LOOPBACK: u32 = 1;

impl Harness {
    /// Loads the trampoline that can jump to this program.
    ///
    /// # Errors
    /// No trampoline can, or the kernel refuses the trampoline itself.
    pub(super) fn new(trace: &Trace, program: BorrowedFd<'_>) -> Result<Self> {
        let harness = Self::of_kind(trace, true)?;
        if harness.aim(program).is_ok() {
            return Ok(harness);
        }
        let harness = Self::of_kind(trace, false)?;
        harness.aim(program).map_err(|error| {
            error.cause("programs that are bound to a device, or are no XDP programs, cannot be tail-called")
        })?;
        Ok(harness)
    }

    fn of_kind(trace: &Trace, frags: bool) -> Result<Self> {
        let count = u32::try_from(trace.packets.len()).unwrap_or(u32::MAX);
        let elf = elf::write(&trampoline::object(count, frags)?);
        let (entry, also) = (trampoline::TRAMPOLINE, &[trampoline::EMPTY]);
        let loaded = load(&Request { elf: &elf, name: "bench", entry, also, ..Request::default() })
            .map_err(|failure| failure.error)?;
        let packets = loaded.map(trampoline::PACKETS)?;
        for (key, packet) in (0..count).zip(&trace.packets) {
            packets.update(&key.to_ne_bytes(), &trampoline::packet(packet))?;
        }
        let (state, target) = (loaded.map(trampoline::STATE)?, loaded.map(trampoline::TARGET)?);
        // Without, it only takes longer.
        let place = Self::place(&loaded).ok();
        Ok(Harness { loaded, state, target, _place: place })
    }

    fn place(loaded: &Loaded) -> Result<(Namespace, Link)> {
        let namespace = Namespace::new()?;
        let link = namespace.run(|| Link::attach_xdp(loaded.entry(), LOOPBACK, Mode::Generic.flag()))?;
        Ok((namespace, link))
    }

    /// Makes the trampoline jump to this program.
    fn aim(&self, program: BorrowedFd<'_>) -> Result<()> {
        self.target.update(&0u32.to_ne_bytes(), &program.as_raw_fd().to_ne_bytes())
    }

    /// How long one of `repeat` runs takes, trampoline and program together, in nanoseconds. Without a program, the
    /// empty one is run.
    ///
    /// # Errors
    /// The kernel refuses the run, or the trampoline failed in some of them.
    pub(super) fn time(&self, program: Option<BorrowedFd<'_>>, repeat: u32) -> Result<f64> {
        let missing = || Error::failed("find the empty program");
        let program = program.map_or_else(|| self.loaded.program(trampoline::EMPTY).ok_or_else(missing), Ok)?;
        self.aim(program)?;
        self.state.update(&0u32.to_ne_bytes(), &[0; trampoline::STATE_SIZE])?;
        let test = TestRun { packet: &[0; trampoline::LONGEST], ingress_ifindex: 0, rx_queue: 0, repeat };
        let before = thread_time()?;
        test_run::run(self.loaded.entry().as_fd(), &test)?;
        let taken = thread_time()?.saturating_sub(before);
        self.check(repeat)?;
        Ok(Duration::as_secs_f64(&taken) * 1e9 / f64::from(repeat))
    }

    fn check(&self, repeat: u32) -> Result<()> {
        let state = self.state.first()?;
        let failures = state.get(trampoline::FAILURES..).and_then(|rest| rest.first_chunk());
        match failures.map_or(0, |bytes| u64::from_ne_bytes(*bytes)) {
            0 => Ok(()),
            failures => Err(Error::failed("measure the program").cause(format!(
                "in {failures} of {repeat} runs the buffer could not be made ready: the program leaves it in a form \
                 that is not foreseen"
            ))),
        }
    }
}
