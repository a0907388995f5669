//! `xdpilot get`: what a store holds, and how the nodes are.

use std::io::Write;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::near;

use super::access::Access;
use super::config::StoreArgs;
use super::{print, print_json};
use crate::agent::api::forms::{Documents, Nodes, VERSION};
use crate::agent::report::{Report, State};
use crate::documents::{Kind, Name, Shown};
use crate::table::{Row, Style, Table};

/// Show the documents of the store: a list, or the text of one. `get nodes` shows how each node is.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot get                        # all documents
  xdpilot get sets
  xdpilot get policy edge            # its text, as apply takes it
  xdpilot get policy edge --version 3
  xdpilot get nodes")]
pub struct Args {
    /// policy, set, pool, attachment or nodes
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// The document's name
    name: Option<String>,
    /// An earlier version
    #[arg(long, value_name = "N", requires = "name")]
    version: Option<u64>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// There is no such document, or the store cannot be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    if args.kind.as_deref() == Some("nodes") {
        let (revision, nodes) = (access.last()?, access.reports()?);
        return if args.json {
            print_json(out, &Nodes { version: VERSION, revision, nodes })
        } else {
            print(out, &nodes_shown(&nodes))
        };
    }
    let kind = args.kind.as_deref().map(str::parse::<Kind>).transpose()?;
    if let (Some(kind), Some(name)) = (kind, &args.name) {
        return one(args, &access, &Name::checked(kind, name)?, out);
    }
    let shown: Vec<Shown> =
        access.list()?.into_iter().filter(|one| kind.is_none_or(|kind| one.name.kind == kind)).collect();
    if args.json {
        return print_json(out, &Documents { version: VERSION, documents: shown });
    }
    print(out, &list_shown(&shown))
}

fn one(args: &Args, access: &Access, name: &Name, out: &mut impl Write) -> Result<()> {
    let found = match args.version {
        Some(version) => Some(access.version(name, version)?),
        None => access.text(name)?,
    };
    let Some(shown) = found else {
        let names: Vec<String> =
            access.list()?.into_iter().filter(|one| one.name.kind == name.kind).map(|one| one.name.name).collect();
        return Err(Error::usage(format!("the store has no {name}")).cause(near::suggestion(
            &name.name,
            "documents of this kind",
            &names,
        )));
    };
    if args.json {
        return print_json(out, &Documents { version: VERSION, documents: vec![shown] });
    }
    let text = shown.text.unwrap_or_default();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print(out, &format!("{text}{end}"))
}

fn list_shown(shown: &[Shown]) -> String {
    if shown.is_empty() {
        return "the store has no such documents\n".to_string();
    }
    let mut table = Table::new(&["DOCUMENT", "VERSION", "CHANGED", "BY"]);
    for one in shown {
        let version = one.version.map_or_else(|| "?".to_string(), |version| version.to_string());
        let (changed, by) = (one.changed.clone().unwrap_or_default(), one.by.clone().unwrap_or_default());
        let details = one.fault.iter().flat_map(|fault| fault.lines()).map(ToString::to_string).collect();
        table.push(Row { cells: vec![one.name.to_string(), version, changed, by], details });
    }
    table.draw(Style::default())
}

fn nodes_shown(nodes: &[Report]) -> String {
    if nodes.is_empty() {
        return "no agent follows the store; xdpilot status shows what stands on this machine\n".to_string();
    }
    let mut text = String::new();
    for node in nodes {
        text +=
            &format!("{} ({}), agent {}, revision {}\n", node.node, node.labels.join(" "), node.agent, node.revision);
        for one in &node.attached {
            let place = one.interface.as_ref().unwrap_or(&one.place);
            let state = match (one.state, one.program) {
                (State::Ok, Some(id)) => format!("in force (id {id})"),
                (State::Waiting, _) => "waits for it".to_string(),
                _ => "failed".to_string(),
            };
            let why = one.why.as_ref().map_or_else(String::new, |why| format!(": {}", why.replace('\n', "\n    ")));
            text += &format!("  {place}: policy {} {state}{why}\n", one.policy);
        }
        for one in &node.refused {
            text += &format!("  {} is refused: {}\n", one.document, one.why.replace('\n', "\n    "));
        }
    }
    text
}
