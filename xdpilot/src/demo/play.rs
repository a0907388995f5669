//! Plays the story on a stage: runs the commands, watches the traffic, compares with what must be.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use super::probe::{self, Outcome, Tally};
use super::programs;
use super::stage::Stage;
use super::story::{STORY, Step, Want};
use super::tell::Teller;
use super::tool;

/// One round of requests begins so long after the one before it, at least.
const ROUND: Duration = Duration::from_millis(250);
/// So many rounds in a row must be as expected; more where somebody watches.
const ROUNDS: u32 = 4;
const ROUNDS_TO_WATCH: u32 = 10;
/// How long what is expected may take to come true.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked for and seen with one protocol.
#[derive(Serialize)]
pub(super) struct Seen {
    expected: Want,
    #[serde(flatten)]
    counts: Tally,
}

/// A step that was played.
#[derive(Serialize)]
pub(super) struct Played {
    title: &'static str,
    commands: Vec<String>,
    http: Seen,
    dns: Seen,
    /// Whether everything was as expected.
    pub(super) met: bool,
}

/// Plays all steps. `stop` ends it early, as an error.
///
/// Errors: a command fails, a file or the output cannot be written, it was stopped.
pub(super) fn play<W: Write>(
    stage: &Stage,
    directory: &Path,
    teller: &mut Teller<W>,
    stop: &AtomicBool,
) -> Result<Vec<Played>> {
    fs::create_dir(directory).and_then(|()| programs::write_into(directory)).map_err(|error| {
        Error::failed(format!("write the programs to {}", directory.display())).kernel(error.to_string())
    })?;
    await_link(stage, stop)?;
    STORY
        .iter()
        .enumerate()
        .map(|(index, step)| {
            teller.step(index + 1, step.title).map_err(unwritten)?;
            let commands = run_commands(step, stage, directory, teller).map_err(|error| stopped_or(error, stop))?;
            let mut watched = Watched { step, http: Tally::default(), dns: Tally::default() };
            let met = watched.watch(stage, teller, stop)?;
            let Watched { http, dns, .. } = watched;
            teller.verdict(http, dns, met).map_err(unwritten)?;
            let seen = |expected, counts| Seen { expected, counts };
            Ok(Played { title: step.title, commands, http: seen(step.http, http), dns: seen(step.dns, dns), met })
        })
        .collect()
}

/// Waits for the first answers: a fresh link carries packets up to a second after both ends are up. When
/// none come the first step tells.
fn await_link(stage: &Stage, stop: &AtomicBool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while stage.client.run(|| Ok(probe::both(stage.server, 0)))? != (Outcome::Answered, Outcome::Answered)
        && Instant::now() < deadline
    {
        if stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
    }
    Ok(())
}

/// Runs a step's commands, and returns them as they are typed.
fn run_commands<W: Write>(step: &Step, stage: &Stage, directory: &Path, teller: &mut Teller<W>) -> Result<Vec<String>> {
    step.commands
        .iter()
        .map(|command| {
            let words = command.words(&stage.target);
            teller.command(&words).map_err(unwritten)?;
            let said = tool::run(&words, directory)?;
            teller.output(&said).map_err(unwritten)?;
            Ok(format!("xdpilot {}", words.join(" ")))
        })
        .collect()
}

/// A step and what was counted in it.
struct Watched<'a> {
    step: &'a Step,
    http: Tally,
    dns: Tally,
}

impl Watched<'_> {
    /// Watches until enough rounds in a row were as expected (true), or it is clear that this will not
    /// happen (false).
    fn watch<W: Write>(&mut self, stage: &Stage, teller: &mut Teller<W>, stop: &AtomicBool) -> Result<bool> {
        let wanted = (self.step.http.outcome(), self.step.dns.outcome());
        let enough = if teller.is_live() { ROUNDS_TO_WATCH } else { ROUNDS };
        let deadline = Instant::now() + PATIENCE;
        let mut in_a_row = 0;
        for number in 1.. {
            let round = Instant::now();
            let seen = stage.client.run(|| Ok(probe::both(stage.server, number)))?;
            self.http.add(seen.0);
            self.dns.add(seen.1);
            teller.counts(self.http, self.dns).map_err(unwritten)?;
            if stop.load(Ordering::Relaxed) {
                return Err(stopped());
            }
            in_a_row = if seen == wanted { in_a_row + 1 } else { 0 };
            if in_a_row == enough {
                return Ok(true);
            }
            if self.broke_silence() || Instant::now() > deadline {
                return Ok(false);
            }
            thread::sleep(ROUND.saturating_sub(round.elapsed()));
        }
        Ok(false)
    }

    /// A program works from the moment it is loaded: one packet that comes through is one too many.
    /// Answers, though, may be late on a busy machine.
    fn broke_silence(&self) -> bool {
        let broke = |want, tally: Tally| want == Want::Silence && tally.came_back() > 0;
        broke(self.step.http, self.http) || broke(self.step.dns, self.dns)
    }
}

/// A signal stopped it.
pub(super) fn stopped() -> Error {
    Error::failed("demo: stopped by a signal; all that it made is removed")
}

/// A command that fails after a signal was most likely hit by the same one.
pub(super) fn stopped_or(error: Error, stop: &AtomicBool) -> Error {
    if stop.load(Ordering::Relaxed) { stopped() } else { error }
}

/// The output cannot be written: a pipe was closed.
pub(super) fn unwritten(error: io::Error) -> Error {
    Error::failed("write to standard output").kernel(error.to_string())
}
