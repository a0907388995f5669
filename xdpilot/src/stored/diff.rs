//! `xdpilot diff`: what would change in the kernel.

use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use xdpilot_core::error::Result;

use super::access::Access;
use super::config::StoreArgs;
use super::{apply, print, print_json};
use crate::agent::api::forms::{StepForm, Steps, VERSION};

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

/// Runs the verb.
///
/// # Errors
/// The files are faulty, or this user may not see what stands.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let edits = apply::edits(&args.files, args.on.as_deref())?;
    let access = Access::open(args.store.config()?)?;
    let steps = access.plan(&edits)?;
    if args.json {
        return print_json(out, &Steps { version: VERSION, steps });
    }
    if steps.is_empty() {
        return print(out, "nothing would change\n");
    }
    let line = |step: &StepForm| {
        let StepForm { step: what, policy, place, interface, sets } = step;
        let place = if interface.is_empty() { place } else { interface };
        match what.as_str() {
            "load" => format!("{place}: load policy {policy}\n"),
            "replace" => format!("{place}: put policy {policy} in the place of what stands there\n"),
            "sets" => format!("{place}: policy {policy} gets other elements in {}\n", sets.join(", ")),
            _ => format!("{place}: take policy {policy} off\n"),
        }
    };
    print(out, &steps.iter().map(line).collect::<String>())
}
