//! A compiled policy in the kernel, on no interface, with a clock that the caller sets.

use xdpilot_core::diagnose::Facts;
use xdpilot_core::emit::{CLOCK, Clock, Options, RULES, TARGETS, counters};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::link::VERDICTS;
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::test_run::{self, TestRun};

use super::Fate;
use crate::policy::{Policy, fill};
use crate::pools;
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::Input;

/// The interface that redirected packets are said to leave by: loopback. A test run sends nothing.
const ANY_INTERFACE: u32 = 1;

/// A policy in the kernel.
#[derive(Debug)]
pub struct Testbed {
    loaded: Loaded,
    clock: Option<Map>,
    rules: usize,
    /// The rules of counters that are not a rule's own.
    counted: Vec<u32>,
}

impl Testbed {
    /// Compiles and loads a policy; the kernel's verifier looks at it.
    ///
    /// # Errors
    /// It needs more code than a program can hold, the kernel refuses it, or this user may not load.
    pub fn new(policy: &Policy) -> Result<Self> {
        let options = Options { clock: Clock::Given, ..Options::default() };
        let compiled = policy.compile_with(&options)?;
        let input = Input::Policy(Box::new(compiled.clone()));
        let loaded = load(&input, &Choice::default())?.loaded;
        fill::sets(&compiled, &loaded)?;
        pools::fill::as_evaluated(&policy.rules.pools, &loaded)?;
        for index in (0u32..).take(policy.rules.targets().len()) {
            loaded.map(TARGETS)?.update(&index.to_ne_bytes(), &ANY_INTERFACE.to_ne_bytes())?;
        }
        let has_clock = loaded.map_names().iter().any(|name| name == CLOCK);
        let clock = if has_clock { Some(loaded.map(CLOCK)?) } else { None };
        Ok(Testbed { loaded, clock, rules: policy.rules.rules.len(), counted: compiled.counted })
    }

    /// Runs it on a packet at this time, in nanoseconds.
    ///
    /// # Errors
    /// The kernel does not run it.
    pub fn run(&self, packet: &[u8], now: u64) -> Result<Fate> {
        if let Some(clock) = &self.clock {
            clock.update(&0u32.to_ne_bytes(), &now.to_ne_bytes())?;
        }
        test(self.loaded.entry(), packet)
    }

    /// Packets and bytes by rule, the default's last.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn hits(&self) -> Result<Vec<(u64, u64)>> {
        let sums = self.loaded.map(RULES)?.sums_per_cpu()?;
        let hits = counters::by_rule(&sums, self.rules, &self.counted);
        Ok(hits.into_iter().map(|[packets, bytes]| (packets, bytes)).collect())
    }
}

/// Loads the chosen program of an object as it is, for test runs.
///
/// # Errors
/// The object has no such program, or the kernel refuses it.
pub(super) fn load(input: &Input, choice: &Choice) -> Result<Program> {
    let wanted = Wanted { input, choice, bare: true, ifindex: 0, offload: false, verbose: false, shared: &[] };
    let record = Record { source: input.origin(), ..Record::default() };
    let facts = Facts { source: Some(input.origin()), ..Facts::default() };
    prepare::load(&wanted, &record).map_err(|failure| prepare::refusal(failure, &facts))
}

/// Runs a program on a packet, if the kernel can do that.
///
/// # Errors
/// It refuses for another reason than the packet.
pub(super) fn test(program: std::os::fd::BorrowedFd<'_>, packet: &[u8]) -> Result<Fate> {
    const ETHERNET: usize = 14;
    const EINVAL: i32 = 22;
    let none = |obstacle: &str| Fate {
        verdict: "-",
        target: None,
        rule: None,
        bytes: packet.to_vec(),
        obstacle: Some(obstacle.to_owned()),
    };
    if packet.len() < ETHERNET {
        return Ok(none("shorter than an Ethernet header: the kernel's test run takes no such packet"));
    }
    match test_run::run(program, &TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 }) {
        Ok(result) => {
            let verdict = usize::try_from(result.verdict).ok().and_then(|verdict| VERDICTS.get(verdict));
            let verdict = verdict.copied().unwrap_or("invalid");
            Ok(Fate { verdict, target: None, rule: None, bytes: result.packet, obstacle: None })
        }
        Err(error) if error.errno_value() == Some(EINVAL) => {
            Ok(none("the kernel's test run takes no packet of this length for this program"))
        }
        Err(error) => Err(permission(error)),
    }
}

/// Test runs need another capability than loading.
fn permission(error: Error) -> Error {
    match error.errno_value() {
        Some(1) => error.mend("run it as root"),
        _ => error,
    }
}
