//! `xdpilot demo route`: requests for one address go to three cats, while these are weighted, drained, killed and
//! revived.
//!
//! A client, a router and three web servers in network namespaces. The client asks all the time and counts what it does
//! not get: nothing may be lost but what was on its way to a cat that is killed.

mod acts;
mod chart;
mod count;
mod keeper;
mod play;
mod stage;
mod visitors;

use std::sync::atomic::AtomicBool;

use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use super::play::unwritten;
use super::{leftovers, tell};
use play::Played;

/// Route requests to three cats that are weighted, drained, killed and revived.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  xdpilot demo route
  xdpilot demo route --json")]
pub(super) struct Args {
    /// Print one JSON object at the end instead of telling the story
    #[arg(long)]
    pub(super) json: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Report {
    /// Raised when a field changes its meaning or goes away.
    version: u32,
    /// Whether every act was as expected.
    ok: bool,
    acts: Vec<Played>,
}

impl Report {
    /// Whether all was as expected.
    ///
    /// Errors: it was not; the acts that were not are named.
    pub(super) fn judge(&self) -> Result<()> {
        let unmet: Vec<&str> = self.acts.iter().filter(|act| !act.met).map(|act| act.title).collect();
        if unmet.is_empty() {
            return Ok(());
        }
        let error = Error::failed(format!("demo route: not as expected: {}", unmet.join("; ")));
        let why = self.acts.iter().filter(|act| !act.met).find_map(|act| act.last_loss.clone());
        Err(why.into_iter().fold(error, |error, why| error.cause(format!("a request was lost: {why}"))))
    }
}

/// Sets the stage, plays all acts and strikes the stage.
///
/// Errors: a command failed, the output cannot be written, it was stopped.
pub(super) fn perform(args: &Args, pid: u32, stop: &AtomicBool) -> Result<Report> {
    let stage = stage::set(pid, stop)?;
    let directory = leftovers::directory(pid);
    let acts = if args.json {
        play::play(stage, &directory, &mut tell::silent(), stop)?
    } else {
        let mut teller = tell::stdout();
        teller
            .opening("Three cats behind one address: a client, a router and three web servers.")
            .map_err(unwritten)?;
        let acts = play::play(stage, &directory, &mut teller, stop)?;
        teller.end(&chart::summary(&acts)).map_err(unwritten)?;
        acts
    };
    Ok(Report { version: 1, ok: acts.iter().all(|act| act.met), acts })
}
