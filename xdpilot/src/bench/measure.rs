//! Taking turns between programs and the empty one, and what comes out of it.

use std::os::fd::{AsFd, BorrowedFd};

use serde::Serialize;
use xdpilot_core::error::Result;
use xdpilot_core::link::VERDICTS;
use xdpilot_core::trampoline::LONGEST;
use xdpilot_kernel::test_run::{self, TestRun};

use super::harness::Harness;
use super::trace::Trace;

/// Every program has so many turns, each beside one of the empty program.
pub const ROUNDS: usize = 31;
/// A turn takes about so long, in nanoseconds, or once the trace.
const TURN: f64 = 15e6;

/// A program that is measured.
#[derive(Debug)]
pub struct Lane<'a> {
    program: BorrowedFd<'a>,
    harness: Harness,
    repeat: u32,
    /// Of each round: the program's time less the empty one's, and the empty one's; in nanoseconds.
    rounds: Vec<(f64, f64)>,
}

/// Median and quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// A quarter of the values are below.
    pub low: f64,
    /// A quarter of the values are above.
    pub high: f64,
}

/// What a program did with the packets of the trace, by verdict in the order of [`VERDICTS`].
pub type Verdicts = [u64; VERDICTS.len()];

impl<'a> Lane<'a> {
    /// Puts the trace before the program.
    ///
    /// # Errors
    /// The program cannot be tail-called.
    pub fn new(trace: &Trace, program: BorrowedFd<'a>) -> Result<Self> {
        let harness = Harness::new(trace, program)?;
        let once = u32::try_from(trace.packets.len()).unwrap_or(u32::MAX);
        // Once to warm up, once to know how long it takes.
        harness.time(Some(program), once)?;
        let taken = harness.time(Some(program), once)? * f64::from(once);
        let times = (TURN / taken.max(1.0)).ceil().clamp(1.0, 1e6) as u32;
        Ok(Lane { program, harness, repeat: once.saturating_mul(times), rounds: Vec::new() })
    }

    fn turn(&mut self, program_first: bool) -> Result<()> {
        let mut times = [0.0, 0.0];
        for which in if program_first { [1, 0] } else { [0, 1] } {
            let program = (which == 1).then_some(self.program);
            times[which] = self.harness.time(program, self.repeat)?;
        }
        let [empty, full] = times;
        self.rounds.push((full - empty, empty));
        Ok(())
    }

    /// Nanoseconds over the empty program.
    pub fn over(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|(over, _)| *over).collect())
    }

    /// What the trampoline takes with the empty program, in nanoseconds.
    pub fn empty(&self) -> Spread {
        Spread::of(self.rounds.iter().map(|(_, empty)| *empty).collect())
    }
}

/// All programs take turns.
///
/// # Errors
/// The kernel refuses a run.
pub fn measure(lanes: &mut [Lane<'_>]) -> Result<()> {
    for round in 0..ROUNDS {
        for at in 0..lanes.len() {
            let lane = (at + round) % lanes.len();
            lanes[lane].turn(round % 2 == 0)?;
        }
    }
    Ok(())
}

/// Runs each packet of the trace once, as it is.
///
/// # Errors
/// The kernel refuses a run.
pub fn verdicts(trace: &Trace, program: BorrowedFd<'_>) -> Result<Verdicts> {
    let mut counts = Verdicts::default();
    let mut buffer = Vec::with_capacity(LONGEST);
    for packet in &trace.packets {
        buffer.clear();
        buffer.extend_from_slice(&packet.head);
        buffer.resize(packet.length, 0);
        let test = TestRun { packet: &buffer, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let verdict = test_run::run(program.as_fd(), &test)?.verdict as usize;
        counts[verdict.min(VERDICTS.len() - 1)] += 1;
    }
    Ok(counts)
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |part: usize| values.get(values.len() * part / 4).copied().unwrap_or(f64::NAN);
        Spread { median: at(2), low: at(1), high: at(3) }
    }

    /// Whether the values lie so far apart that the median says little.
    pub fn is_noisy(&self) -> bool {
        self.high - self.low > (self.median.abs() / 5.0).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_are_those_of_the_sorted_values() {
        let spread = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 2.0, high: 4.0 });
    }

    #[test]
    fn noise_is_a_nanosecond_or_a_fifth() {
        assert!(Spread { median: 2.0, low: 1.0, high: 2.5 }.is_noisy());
        assert!(!Spread { median: 2.0, low: 1.6, high: 2.5 }.is_noisy());
        assert!(!Spread { median: 100.0, low: 91.0, high: 110.0 }.is_noisy());
    }
}
