//! `xdpilot diff`: what would change in the kernel.

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::Result;

use super::access::Access;
use super::config::StoreArgs;
use super::{apply, print, print_json};
use crate::agent::Step;
use crate::agent::reconcile::Planned;

/// Show what would change in this node's kernel: by applying files, or, without any, until it equals the store.
///
/// Exit code 0 whether or not something would; `--json` has the steps.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot diff -f edge.xdp      # before apply
  xdpilot diff                  # nothing, where an agent is at work")]
pub struct Args {
    /// Policy files, as for apply
    #[arg(long = "file", short = 'f', value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the policies live, as for apply
    #[arg(long, value_name = "PLACES", requires = "files")]
    on: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Serialize)]
struct Steps {
    version: u32,
    steps: Vec<StepShown>,
}

#[derive(Serialize)]
struct StepShown {
    step: &'static str,
    policy: String,
    place: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    interface: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sets: Vec<String>,
}

/// Runs the verb.
///
/// # Errors
/// The files are faulty, or this user may not see what stands.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let edits = apply::edits(&args.files, args.on.as_deref())?;
    let access = Access::open(args.store.config()?)?;
    let snapshot = access.preview(&edits)?;
    let planned = access.plan(&snapshot)?;
    let steps: Vec<StepShown> = planned.into_iter().map(shown).collect();
    if args.json {
        return print_json(out, &Steps { version: 1, steps });
    }
    if steps.is_empty() {
        return print(out, "nothing would change\n");
    }
    let line = |step: &StepShown| {
        let StepShown { step: what, policy, place, interface, sets } = step;
        let place = if interface.is_empty() { place } else { interface };
        match *what {
            "load" => format!("{place}: load policy {policy}\n"),
            "replace" => format!("{place}: put policy {policy} in the place of what stands there\n"),
            "sets" => format!("{place}: policy {policy} gets other elements in {}\n", sets.join(", ")),
            _ => format!("{place}: take policy {policy} off\n"),
        }
    };
    print(out, &steps.iter().map(line).collect::<String>())
}

fn shown(planned: Planned) -> StepShown {
    let Planned { step, policy, place, label: interface } = planned;
    let (step, sets) = match step {
        Step::Load => ("load", Vec::new()),
        Step::Replace => ("replace", Vec::new()),
        Step::Sets(sets) => ("sets", sets.into_iter().collect()),
        Step::Unload => ("unload", Vec::new()),
    };
    StepShown { step, policy, place, interface, sets }
}
