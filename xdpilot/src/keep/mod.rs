//! `xdpilot load --keep`: follows the files of a policy, shows its samples, and takes it off at the end.

mod change;
mod samples;

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::watch::{Files, readable_while_read};

use crate::attach;
use crate::detach;
use crate::direction::Direction;
use crate::pause::Pause;
use crate::place::{self, Place};
use crate::policy::{self, Policy, Text};
use crate::pools::health::{Checker, Findings, Health, checker};
use crate::put::{self, Order, Outcome};
use crate::source::Input;
use crate::state;

use samples::Samples;

/// A policy that is to be kept.
#[derive(Debug)]
pub struct Kept {
    /// Its text.
    pub text: Text,
    /// Which policy of the text.
    pub name: Option<String>,
    /// What the text means.
    pub policy: Policy,
    /// Where it is put.
    pub places: Vec<Place>,
    /// How.
    pub order: Order,
}

/// Loads the policy and keeps it until a signal comes, or nobody reads what is said. `tell` says what was loaded.
///
/// # Errors
/// It cannot be loaded, or not be taken off.
pub fn run<W: Write>(mut kept: Kept, out: &mut W, tell: impl Fn(&[Outcome], &mut W) -> io::Result<()>) -> Result<()> {
    // Before anything is attached: a signal must take it off again, and no change of a file may be missed.
    let end = Pause::new()?;
    let files = watched(&kept)?;
    if let Some(path) = &kept.text.path {
        kept.text = Text::of_file(path)?;
        kept.policy = policy::read(&kept.text, kept.name.as_deref(), kept.policy.direction)?;
    }
    let input = Input::Policy(Box::new(kept.policy.compile(place::may_have_frags(&kept.places))?));
    let outcomes = put::load(&input, &kept.places, &kept.order)?;
    let mut ids = ids(&outcomes);
    let followed = begin(&kept, &outcomes, out, tell).and_then(|samples| {
        let (checker, findings) = checker(None)?;
        let health = begin_checks(&checker, &kept)?;
        let checks = Checks { checker, findings, health };
        follow(&mut kept, Followed { files, samples, checks, end: &end }, &mut ids, out)
    });
    take_off(&kept.places, &ids, out)?;
    followed
}

/// Says what was loaded, when the first packet after it can no longer be missed by `sample`.
fn begin<W: Write>(
    kept: &Kept,
    outcomes: &[Outcome],
    out: &mut W,
    tell: impl Fn(&[Outcome], &mut W) -> io::Result<()>,
) -> Result<Samples> {
    let samples = Samples::open(&kept.policy.rules, &kept.places, kept.order.wish.direction)?;
    tell(outcomes, out).and_then(|()| out.flush()).map_err(unread)?;
    Ok(samples)
}

/// Begins to check the backends, and says what is to be known of that.
fn begin_checks(checker: &Checker, kept: &Kept) -> Result<Health> {
    let health = checker.check(&kept.policy.rules, &kept.places)?;
    health.notes().iter().for_each(|note| eprintln!("note: {note}"));
    Ok(health)
}

/// The ids of programs.
fn ids(outcomes: &[Outcome]) -> Vec<u32> {
    outcomes.iter().map(|outcome| outcome.id).collect()
}

fn unread(error: io::Error) -> Error {
    Error::failed("print what was done").kernel(error.to_string())
}

/// What is waited for.
struct Followed<'a> {
    files: Files,
    samples: Samples,
    checks: Checks,
    end: &'a Pause,
}

/// The checks of backends.
struct Checks {
    checker: Checker,
    findings: Findings,
    /// Those at work.
    health: Health,
}

/// Follows the files and the samples until the end.
fn follow(kept: &mut Kept, followed: Followed<'_>, ids: &mut Vec<u32>, out: &mut impl Write) -> Result<()> {
    let Followed { mut files, mut samples, mut checks, end } = followed;
    let stdout = io::stdout();
    loop {
        let mut waiting = vec![end.as_fd(), files.as_fd(), checks.findings.as_fd()];
        waiting.extend(samples.descriptors());
        let Some(ready) = readable_while_read(&waiting, stdout.as_fd())?.filter(|ready| !ready[0]) else {
            return Ok(());
        };
        let mut said = samples.take()?;
        if ready[2] {
            said.extend(checks.findings.take()?);
        }
        if ready[1] && touches(&files.changed()?, kept) {
            match change::follow(kept, ids) {
                Ok(change) => {
                    said.extend(change.told);
                    if change.loaded {
                        samples = Samples::open(&kept.policy.rules, &kept.places, kept.order.wish.direction)?;
                        checks.health = begin_checks(&checks.checker, kept)?;
                    }
                    // The folders that are watched already stay so, with what happened there meanwhile.
                    paths(kept).try_for_each(|path| files.add(path))?;
                }
                // The old program stays; the next change of a file is the next try.
                Err(error) => eprintln!("error: {error}\n  the policy before it stays in force"),
            }
        }
        for line in said {
            writeln!(out, "{line}").map_err(unread)?;
        }
        out.flush().map_err(unread)?;
    }
}

/// The files that a policy is made of.
fn paths(kept: &Kept) -> impl Iterator<Item = &Path> {
    kept.text.path.as_deref().into_iter().chain(kept.policy.files.iter().map(|(_, path)| path.as_path()))
}

fn watched(kept: &Kept) -> Result<Files> {
    Files::new(&paths(kept).map(Path::to_owned).collect::<Vec<_>>())
}

/// Whether one of the changed files is one of the policy's, or a link that may lead to one.
fn touches(changed: &[PathBuf], kept: &Kept) -> bool {
    let is_ours = |path: &PathBuf| {
        path.is_symlink() || paths(kept).any(|ours| ours == path || ours.canonicalize().is_ok_and(|real| real == *path))
    };
    changed.iter().any(is_ours)
}

/// Takes off what was put there: not what another command has put in its place.
fn take_off(places: &[Place], ids: &[u32], out: &mut impl Write) -> Result<()> {
    let _lock = state::lock();
    let mut failure = None;
    for place in places {
        let standing = Direction::ALL.into_iter().filter_map(|direction| attach::standing(place, direction).ok());
        for one in standing.flatten().filter(|one| ids.contains(&one.program.id)) {
            match detach::detach(place, &one) {
                // Where nobody reads any more it is taken off all the same.
                Ok(_) => drop(writeln!(out, "{}: {} (id {}) taken off", place.label, one.program.name, one.program.id)),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
    }
    failure.map_or(Ok(()), Err)
}
