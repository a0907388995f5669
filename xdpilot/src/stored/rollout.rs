//! `xdpilot rollout`: the change that some nodes have before the others.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, Subcommand};
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::{print, print_json, wait};
use crate::agent::api::forms::{RolloutForm, Rollouts, VERSION};

const PAUSE: Duration = Duration::from_millis(200);

/// Show or halt the change that some nodes have before the others (`xdpilot apply --canary`).
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot rollout show
  xdpilot rollout halt")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show it, and how its nodes are with it
    Show,
    /// Give it up: its nodes go back to what all others have
    Halt,
}

/// Runs the verb.
///
/// # Errors
/// The store cannot be reached; there is nothing to halt.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    let rollout = match args.action {
        Action::Show => access.rollout()?,
        Action::Halt => match access.halt()? {
            None => return Err(Error::usage("halt a rollout").cause("none is at work")),
            halted => halted,
        },
    };
    if args.json {
        return print_json(out, &Rollouts { version: VERSION, rollout });
    }
    match rollout {
        None => print(out, "no rollout is at work\n"),
        Some(rollout) => {
            print_one(&rollout, false, out)?;
            for report in access.reports()? {
                if let Some(one) = report.rollout.filter(|one| one.id == rollout.id) {
                    let why = one.why.map_or_else(String::new, |why| format!(": {why}"));
                    print(out, &format!("  {}: {:?}{why}\n", report.node, one.state))?;
                }
            }
            Ok(())
        }
    }
}

/// Prints a rollout.
pub(super) fn print_one(rollout: &RolloutForm, json: bool, out: &mut impl Write) -> Result<()> {
    if json {
        return print_json(out, &Rollouts { version: VERSION, rollout: Some(rollout.clone()) });
    }
    let RolloutForm { id, nodes, bake_seconds, documents, halted, .. } = rollout;
    let (documents, nodes) = (documents.join(", "), nodes.join(", "));
    print(
        out,
        &match halted {
            Some(why) => format!("rollout {id} of {documents} was halted: {why}\n"),
            None => format!(
                "rollout {id} of {documents} is at work on {nodes}; all others have it after {bake_seconds} s\n"
            ),
        },
    )
}

/// Waits until a rollout is over, and all nodes have it.
///
/// # Errors
/// It was halted, or it takes too long.
pub(super) fn until_over(access: &Access, begun: &RolloutForm, seconds: u64) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(begun.bake_seconds + seconds);
    loop {
        match access.rollout()?.filter(|now| now.id == begun.id) {
            None => return wait::until_all_have(access, seconds).map(drop),
            Some(RolloutForm { halted: Some(why), .. }) => {
                return Err(Error::failed(format!("roll {} out", begun.id))
                    .cause(format!("it was halted: {why}"))
                    .mend("its nodes have what all others have; mend the change and apply it again"));
            }
            Some(_) if Instant::now() >= end => {
                return Err(Error::failed(format!("wait for rollout {}", begun.id)).mend("xdpilot rollout show"));
            }
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

/// A time in words: `60s`, `5m`.
pub(super) fn time(words: &str) -> std::result::Result<Duration, String> {
    let parsed = [("s", 1), ("m", 60), ("h", 3600)].into_iter().find_map(|(unit, seconds)| {
        let number: u64 = words.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds).filter(|seconds| (1..=86_400).contains(seconds))
    });
    parsed.map(Duration::from_secs).ok_or_else(|| "expected a time of 1s to 24h: 60s, 5m".to_string())
}
