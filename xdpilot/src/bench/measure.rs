//! Taking turns between programs and the empty one, and what comes out of it.

use std::os::fd::{AsFd, BorrowedFd};

use serde::Serialize;
use xdpilot_core::error::Result;
use xdpilot_core::link::VERDICTS;
use xdpilot_kernel::test_run::{self, TestRun};

use super::harness::Harness;
use super::trace::Trace;

/// Every program is loaded so often. Where its code comes to lie in memory is the kernel's choice, and may make a
/// difference of some nanoseconds.
pub(super) const LOADS: usize = 16;
/// After each load every program has so many turns, each beside one of the empty program.
pub(super) const ROUNDS: usize = 12;
/// A turn takes about so long, in nanoseconds, or once the trace. Short ones are alike: what disturbs one disturbs the
/// other.
const TURN: f64 = 2e6;

/// A program that is measured.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    program: BorrowedFd<'a>,
    harness: Harness,
    repeat: u32,
    /// Of each round: the program's time less the empty one's, and the empty one's; in nanoseconds.
    rounds: Vec<(f64, f64)>,
}

/// What several loads of a program came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// The median of them.
    pub(super) median: f64,
    /// The least.
    pub(super) low: f64,
    /// The most.
    pub(super) high: f64,
}

/// What a program did with the packets of the trace, by verdict in the order of [`VERDICTS`].
pub(super) type Verdicts = [u64; VERDICTS.len()];

impl<'a> Lane<'a> {
    /// Puts the trace before the program.
    ///
    /// # Errors
    /// The program cannot be tail-called.
    pub(super) fn new(trace: &Trace, program: BorrowedFd<'a>) -> Result<Self> {
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

    /// Nanoseconds over the empty program, and what the trampoline takes with the empty program: medians.
    pub(super) fn medians(&self) -> (f64, f64) {
        let quiet = self.quiet();
        (median(quiet.iter().map(|round| round.0).collect()), median(quiet.iter().map(|round| round.1).collect()))
    }

    /// The quieter half of the rounds: those that took less time, both programs together.
    fn quiet(&self) -> Vec<(f64, f64)> {
        let mut rounds = self.rounds.clone();
        rounds.sort_by(|a, b| (a.0 + 2.0 * a.1).total_cmp(&(b.0 + 2.0 * b.1)));
        rounds.truncate(rounds.len().div_ceil(2));
        rounds
    }
}

/// All programs take turns.
///
/// # Errors
/// The kernel refuses a run.
pub(super) fn measure(lanes: &mut [Lane<'_>]) -> Result<()> {
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
pub(super) fn verdicts(trace: &Trace, program: BorrowedFd<'_>) -> Result<Verdicts> {
    let mut counts = Verdicts::default();
    for packet in &trace.packets {
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let verdict = test_run::run(program.as_fd(), &test)?.verdict as usize;
        counts[verdict.min(VERDICTS.len() - 1)] += 1;
    }
    Ok(counts)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Spread {
    /// Of at least one value.
    pub(super) fn of(values: &[f64]) -> Self {
        let fold = |pick: fn(f64, f64) -> f64| values.iter().copied().fold(f64::NAN, pick);
        Spread { median: median(values.to_vec()), low: fold(f64::min), high: fold(f64::max) }
    }

    /// Whether the loads lie so far apart that the median is hardly to be compared.
    pub(super) fn is_wide(&self) -> bool {
        self.high - self.low > (self.median.abs() / 2.0).max(3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_told_by_their_median_and_ends() {
        assert_eq!(Spread::of(&[3.0, 1.0, 5.0]), Spread { median: 3.0, low: 1.0, high: 5.0 });
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn loads_are_wide_apart_beyond_three_nanoseconds_or_half() {
        assert!(Spread { median: 2.0, low: 0.5, high: 4.0 }.is_wide());
        assert!(!Spread { median: 2.0, low: 1.0, high: 3.5 }.is_wide());
        assert!(!Spread { median: 100.0, low: 80.0, high: 120.0 }.is_wide());
    }
}
