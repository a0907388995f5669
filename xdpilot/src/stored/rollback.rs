//! `xdpilot rollback`: an earlier version of a document is the newest one again.

use std::io::Write;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::{Named, apply};
use crate::documents::change::{Content, Edit};

/// Bring an earlier version of a document back, as a new version; also one that was deleted.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot rollback policy edge           # the version before
  xdpilot rollback policy edge --to 3")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// The version that is to be in force again; the one before where none is given
    #[arg(long, value_name = "VERSION")]
    to: Option<u64>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// There is no such version, or it makes no sense with the other documents any more.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let name = args.named.name()?;
    let access = Access::open(args.store.config()?)?;
    let now = access.text(&name)?.and_then(|shown| shown.version);
    let versions: Vec<u64> = access.versions(&name)?.iter().filter_map(|shown| shown.version).collect();
    let before = versions.iter().rev().find(|version| now.is_none_or(|now| **version < now));
    let version = args.to.or(before.copied()).ok_or_else(|| {
        Error::usage(format!("roll {name} back")).cause("the store knows no version before").mend("xdpilot get")
    })?;
    let text = access.version(&name, version)?.text.unwrap_or_default();
    let edit = Edit { content: Some(Content::of_text(&name, text)?), name, version: Some(now.unwrap_or(0)) };
    let outcome = access.commit(&[edit])?;
    apply::finish(&access, outcome, args.json, out).map(drop)
}
