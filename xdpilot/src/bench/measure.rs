//! Taking turns between programs and the empty one, and what comes out of it.

use std::os::fd::{AsFd, BorrowedFd};

use serde::Serialize;
use xdpilot_core::error::Result;
use xdpilot_core::link::VERDICTS;
use xdpilot_kernel::test_run::{self, TestRun};

use super::harness::Harness;
use super::trace::Trace;

/// Every program has so many turns, each beside one of the empty program.
pub(super) const ROUNDS: usize = 400;
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

/// The median of what was measured, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Spread {
    /// The median.
    pub(super) median: f64,
    /// With a probability of 95 % the true median is not below.
    pub(super) low: f64,
    /// Nor above.
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

    /// Nanoseconds over the empty program.
    pub(super) fn over(&self) -> Spread {
        Spread::of(self.quiet().iter().map(|(over, _)| *over).collect())
    }

    /// What the trampoline takes with the empty program, in nanoseconds.
    pub(super) fn empty(&self) -> Spread {
        Spread::of(self.quiet().iter().map(|(_, empty)| *empty).collect())
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

impl Spread {
    /// The interval is that of the order statistics: of half the values, 1.96 standard deviations to either side.
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let (middle, margin) = (values.len() / 2, (0.98 * (values.len() as f64).sqrt()).ceil() as usize);
        let at = |rank: usize| values.get(rank.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN);
        Spread { median: at(middle), low: at(middle.saturating_sub(margin)), high: at(middle + margin) }
    }

    /// Whether the median is not known well enough to be compared.
    pub(super) fn is_noisy(&self) -> bool {
        self.high - self.low > (self.median.abs() / 5.0).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_narrows_as_values_are_added() {
        let of = |count: u32| Spread::of((0..count).rev().map(|at| f64::from(at) / f64::from(count)).collect());
        assert_eq!(of(100), Spread { median: 0.5, low: 0.4, high: 0.6 });
        assert_eq!(of(10_000), Spread { median: 0.5, low: 0.4902, high: 0.5098 });
    }

    #[test]
    fn noise_is_a_nanosecond_or_a_fifth() {
        assert!(Spread { median: 2.0, low: 1.0, high: 2.5 }.is_noisy());
        assert!(!Spread { median: 2.0, low: 1.6, high: 2.5 }.is_noisy());
        assert!(!Spread { median: 100.0, low: 91.0, high: 110.0 }.is_noisy());
    }
}
