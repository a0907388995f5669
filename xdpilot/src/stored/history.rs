//! `xdpilot history`: the versions of a document.

use std::io::Write;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::{Named, print, print_json};
use crate::agent::api::forms::{VERSION, Versions};
use crate::table::{Row, Style, Table};

/// Show the versions of a document: the last 20, and that in force.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot history policy edge
  xdpilot get policy edge --version 3")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// There never was such a document.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let name = args.named.name()?;
    let access = Access::open(args.store.config()?)?;
    let versions = access.versions(&name)?;
    if versions.is_empty() {
        return Err(Error::usage(format!("the store knows no {name}")).mend("xdpilot get"));
    }
    if args.json {
        return print_json(out, &Versions { version: VERSION, versions });
    }
    let mut table = Table::new(&["VERSION", "CHANGED", "BY"]);
    for one in versions {
        let version = one.version.map(|version| version.to_string());
        let cells = vec![version.unwrap_or_default(), one.changed.unwrap_or_default(), one.by.unwrap_or_default()];
        table.push(Row { cells, details: Vec::new() });
    }
    print(out, &table.draw(Style::default()))
}
