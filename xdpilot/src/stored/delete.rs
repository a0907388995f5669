//! `xdpilot delete`: takes a document out of the store.

use std::io::Write;

use clap::Args as ClapArgs;
use xdpilot_core::error::Result;

use super::access::Access;
use super::config::StoreArgs;
use super::{Named, apply};
use crate::documents::change::Edit;

/// Take a policy, set, pool or attachment out of the store. Policies are taken off where they are attached.
///
/// Its versions stay: `xdpilot rollback` brings it back.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot delete policy edge
  xdpilot delete attachment edge     # take it off everywhere, and keep it")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// There is no such document, or a policy needs it.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    let outcome = access.commit(&[Edit { name: args.named.name()?, content: None, version: None }])?;
    apply::finish(&access, outcome, args.json, out).map(drop)
}
