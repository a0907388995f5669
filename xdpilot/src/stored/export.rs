//! `xdpilot export`: all documents of a store as one policy file.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy;

use super::access::Access;
use super::config::StoreArgs;
use super::{print, print_json};
use crate::agent::api::forms::{Documents, VERSION};
use crate::documents::{Kind, Name};

/// Write all documents of the store as one policy file, which `apply -f` takes.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot export -o all.xdp
  xdpilot export | xdpilot apply -f - --store redb:/tmp/copy.redb")]
pub struct Args {
    /// The file; the standard output where none is given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print JSON: each document with its text
    #[arg(long, conflicts_with = "output")]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// The store cannot be read, or the file be written.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    if args.json {
        let mut documents = Vec::new();
        for one in access.list()? {
            documents.extend(access.text(&one.name)?);
        }
        return print_json(out, &Documents { version: VERSION, documents });
    }
    let mut texts = Vec::new();
    for one in access.list()? {
        if one.name.kind == Kind::Attachment {
            continue;
        }
        let Some(mut text) = access.text(&one.name)?.and_then(|shown| shown.text) else { continue };
        if one.name.kind == Kind::Policy
            && let Some(places) =
                access.text(&Name::new(Kind::Attachment, one.name.name.clone()))?.and_then(|shown| shown.text)
        {
            text = with_places(&text, places.trim());
        }
        texts.push(text);
    }
    let text = texts.join("\n");
    match &args.output {
        None => print(out, &text),
        Some(path) => fs::write(path, text)
            .map_err(|error| Error::failed(format!("write {}", path.display())).kernel(error.to_string())),
    }
}

/// A policy with the places where it lives.
fn with_places(text: &str, places: &str) -> String {
    let name = policy::parse(text).ok().and_then(|document| Some(document.policies.first()?.span.end));
    let (before, after) = text.split_at(name.unwrap_or(0));
    if name.is_some() { format!("{before} on {places}{after}") } else { text.to_string() }
}
