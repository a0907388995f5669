//! `xdpilot get`: what a store holds, and how the nodes are.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::near;

use super::access::{Access, Shown};
use super::config::StoreArgs;
use super::{print, print_json};
use crate::agent::report::{Report, State};
use crate::documents::{Body, Document, Kind, Name};
use crate::table::{Row, Style, Table};
use crate::when;

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

/// A document in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Listed {
    kind: Kind,
    name: String,
    version: u64,
    changed: String,
    by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    elements: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Serialize)]
struct Documents {
    version: u32,
    documents: Vec<Listed>,
}

#[derive(Serialize)]
struct Nodes {
    version: u32,
    nodes: Vec<Report>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such document, or the store cannot be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    if args.kind.as_deref() == Some("nodes") {
        let nodes = access.reports()?;
        return if args.json {
            print_json(out, &Nodes { version: 1, nodes })
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
        let documents = shown.iter().map(|one| listed(&one.name, one.document.as_ref(), one.fault.clone(), None));
        return print_json(out, &Documents { version: 1, documents: documents.collect() });
    }
    print(out, &list_shown(&shown))
}

fn one(args: &Args, access: &Access, name: &Name, out: &mut impl Write) -> Result<()> {
    let found = match args.version {
        Some(version) => Some(access.version(name, version)?),
        None => access.text(name)?,
    };
    let Some((document, text)) = found else {
        let names: Vec<String> =
            access.list()?.into_iter().filter(|one| one.name.kind == name.kind).map(|one| one.name.name).collect();
        return Err(Error::usage(format!("the store has no {name}")).cause(near::suggestion(
            &name.name,
            "documents of this kind",
            &names,
        )));
    };
    if args.json {
        let document = listed(name, Some(&document), None, Some(text));
        return print_json(out, &Documents { version: 1, documents: vec![document] });
    }
    let end = if text.ends_with('\n') { "" } else { "\n" };
    print(out, &format!("{text}{end}"))
}

/// A document in JSON.
pub(super) fn listed(name: &Name, document: Option<&Document>, fault: Option<String>, text: Option<String>) -> Listed {
    Listed {
        kind: name.kind,
        name: name.name.clone(),
        version: document.map_or(0, |document| document.version),
        changed: document.map(|document| time(document.changed)).unwrap_or_default(),
        by: document.map(|document| document.by.clone()).unwrap_or_default(),
        elements: document.and_then(elements),
        fault,
        text,
    }
}

fn elements(document: &Document) -> Option<u64> {
    match &document.body {
        Body::Pieces { elements, .. } => *elements,
        Body::Text { .. } => None,
    }
}

/// A time of a document, RFC 3339.
pub(super) fn time(seconds: u64) -> String {
    when::rfc3339(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn list_shown(shown: &[Shown]) -> String {
    if shown.is_empty() {
        return "the store has no such documents\n".to_string();
    }
    let mut table = Table::new(&["DOCUMENT", "VERSION", "CHANGED", "BY"]);
    for one in shown {
        let document = one.document.as_ref();
        let version = document.map_or_else(|| "?".to_string(), |document| document.version.to_string());
        let changed = document.filter(|document| document.changed > 0).map(|document| time(document.changed));
        let by = document.map(|document| document.by.clone()).unwrap_or_default();
        let details = one.fault.iter().flat_map(|fault| fault.lines()).map(ToString::to_string).collect();
        table.push(Row { cells: vec![one.name.to_string(), version, changed.unwrap_or_default(), by], details });
    }
    table.draw(Style::default())
}

fn nodes_shown(nodes: &[Report]) -> String {
    if nodes.is_empty() {
        return "no node follows the store\n".to_string();
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
