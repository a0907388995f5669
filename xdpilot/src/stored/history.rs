//! `xdpilot history`: the versions of a document.

use std::io::Write;

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::get::{Listed, listed, time};
use super::{Named, print, print_json};
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

#[derive(Serialize)]
struct Versions {
    version: u32,
    versions: Vec<Listed>,
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
        let versions = versions.iter().map(|document| listed(&name, Some(document), None, None)).collect();
        return print_json(out, &Versions { version: 1, versions });
    }
    let mut table = Table::new(&["VERSION", "CHANGED", "BY"]);
    for one in &versions {
        let cells = vec![one.version.to_string(), time(one.changed), one.by.clone()];
        table.push(Row { cells, details: Vec::new() });
    }
    print(out, &table.draw(Style::default()))
}
