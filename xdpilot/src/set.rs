//! `xdpilot set`: the sets of loaded policies, changed in place.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use xdpilot_core::cond::Part;
use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_core::policy::{self, Element};

use crate::documents::change::Content;
use crate::policy::elements::part_name;
use crate::policy::places::Places;
use crate::policy::read_elements;
use crate::policy::sets::{self, Loaded, Set};
use crate::stored::config::StoreArgs;
use crate::trial::printed;
use crate::{state, stored};

/// Change and list the sets of loaded policies, without loading them anew.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot set add blocked 203.0.113.7 2001:db8::/32
  xdpilot set del blocked 203.0.113.7 --on docker:web
  xdpilot set add web 192.0.2.1 . tcp . 443
  xdpilot set replace blocked blocklist.txt
  xdpilot set list blocked
  xdpilot set add blocked 203.0.113.7 --store redb:/var/lib/xdpilot/store.redb

A change lasts until the policy is loaded anew. Policies of a store get their elements from it: --store changes them
there, and so wherever they are used.")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Put elements into a set
    Add(Change),
    /// Take elements out of a set
    Del(Change),
    /// Put what is in a file in the place of all that is in a set, at once
    Replace(Replace),
    /// Show what is in the sets
    List(List),
}

#[derive(Debug, ClapArgs)]
struct Change {
    /// The set's name
    name: String,
    /// Addresses, prefixes (10.0.0.0/8), ports (80, http, 1000-2000), MAC addresses or tuples (192.0.2.1 . tcp . 443)
    #[arg(required = true, value_name = "ELEMENT")]
    elements: Vec<String>,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, ClapArgs)]
struct Replace {
    /// The set's name
    name: String,
    /// Elements, one or more a line; # begins a comment
    file: PathBuf,
    #[command(flatten)]
    places: Places,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, ClapArgs)]
struct List {
    /// The set's name; all sets where none is given
    name: Option<String>,
    #[command(flatten)]
    places: Places,
}

/// What was done to a set at one place.
#[derive(Debug, Serialize)]
struct Changed<'a> {
    set: &'a str,
    target: String,
    /// So many elements (of ports: numbers) were not there before.
    added: usize,
    /// So many were there before.
    removed: usize,
    notes: Vec<String>,
}

/// What is in a set at one place.
#[derive(Debug, Serialize)]
struct Listed {
    set: String,
    target: String,
    elements: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    version: u32,
    sets: &'a [T],
}

/// Runs the verb.
///
/// # Errors
/// There is no such set, an element is none or of a kind that the set has no use for, or there is no room.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let text = match &args.action {
        Action::Add(wish) if wish.store.is_named() => return store(wish, true, out),
        Action::Del(wish) if wish.store.is_named() => return store(wish, false, out),
        Action::Replace(wish) if wish.store.is_named() => {
            let content = Content::Elements(read_elements(&wish.file)?);
            return stored::apply::one(&wish.store, &wish.places, &wish.name, content, out);
        }
        Action::Add(wish) => change(wish, true),
        Action::Del(wish) => change(wish, false),
        Action::Replace(wish) => replace(wish),
        Action::List(wish) => list(wish),
    }?;
    printed(out.write_all(text.as_bytes()))
}

/// Changes the set in the store.
fn store(wish: &Change, add: bool, out: &mut impl Write) -> Result<()> {
    let elements = elements(&wish.elements.join(" "))?;
    let content = match add {
        true => Content::Change { add: elements, remove: Vec::new() },
        false => Content::Change { add: Vec::new(), remove: elements },
    };
    stored::apply::one(&wish.store, &wish.places, &wish.name, content, out)
}

/// The sets of this name; none of them may be a store's, which would undo the change.
fn loose(name: &str, places: &Places, store: &StoreArgs, command: &str) -> Result<Vec<Set>> {
    let mut loaded = places.loaded()?;
    let sets = sets::named(name, &mut loaded)?;
    let of_store = |one: &&Loaded| sets.iter().any(|set| set.pinned == one.pinned) && one.record.stored.is_some();
    let Some(one) = loaded.iter().find(of_store) else { return Ok(sets) };
    let policy = one.record.stored.as_ref().map_or("", |stored| &stored.policy);
    Err(Error::new(Kind::Refused, format!("change set {name} on {}", one.record.target))
        .cause(format!(
            "policy {policy} is there for a store, which would undo the change: change the set in the store"
        ))
        .mend(format!("{command} --store {}", store.config()?.store_or_default())))
}

fn change(wish: &Change, add: bool) -> Result<String> {
    let elements = elements(&wish.elements.join(" "))?;
    // Two commands that change one map of ports would lose one of the changes.
    let _lock = state::lock();
    let command = format!("xdpilot set {} {} {}", if add { "add" } else { "del" }, wish.name, wish.elements.join(" "));
    let mut sets = loose(&wish.name, &wish.places, &wish.store, &command)?;
    sets.iter().try_for_each(|set| takes(&wish.name, set, &elements))?;
    let mut changed = Vec::new();
    for set in &mut sets {
        changed.push(change_one(&wish.name, set, &elements, add)?);
    }
    told(&changed, wish.places.json, |one| match add {
        true => format!("{}: {} added to {}\n", one.target, one.added, one.set),
        false => format!("{}: {} removed from {}\n", one.target, one.removed, one.set),
    })
}

fn replace(wish: &Replace) -> Result<String> {
    let elements = read_elements(&wish.file)?;
    let _lock = state::lock();
    let command = format!("xdpilot set replace {} {}", wish.name, wish.file.display());
    let mut sets = loose(&wish.name, &wish.places, &wish.store, &command)?;
    let mut changed = Vec::new();
    for set in &mut sets {
        changed.push(replace_one(&wish.name, set, &elements)?);
    }
    told(&changed, wish.places.json, |one| {
        format!("{}: {} had {} elements, and has {}\n", one.target, one.set, one.removed, one.added)
    })
}

/// What was done, as JSON or a line each; notes go to stderr.
fn told(changed: &[Changed<'_>], as_json: bool, line: impl Fn(&Changed<'_>) -> String) -> Result<String> {
    if as_json {
        return json(changed);
    }
    changed.iter().flat_map(|one| &one.notes).for_each(|note| eprintln!("note: {note}"));
    Ok(changed.iter().map(line).collect())
}

fn replace_one<'a>(name: &'a str, set: &mut Set, elements: &[Element]) -> Result<Changed<'a>> {
    let mut changed = Changed { set: name, target: set.target.clone(), added: 0, removed: 0, notes: Vec::new() };
    let fits = |element: &&Element| set.contents.iter().any(|(part, _)| *part == element.part());
    // As where a policy is loaded: each use of a set takes the kinds that it asks for.
    let strangers = elements.len() - elements.iter().filter(fits).count();
    if strangers > 0 {
        let target = &set.target;
        changed.notes.push(format!("{strangers} elements are of kinds that no rule on {target} asks set {name} for"));
    }
    for (part, contents) in &mut set.contents {
        if contents.would_be_table(elements) {
            let (target, kind) = (&set.target, part_name(*part));
            changed.notes.push(format!(
                "set {name} was small when the policy was loaded on {target}: loaded anew it would find so many {kind} sooner"
            ));
        }
        changed.removed += contents.count()?;
        contents.replace(elements).map_err(|error| error.context(format!("set {name} on {}", set.target)))?;
        changed.added += contents.count()?;
    }
    Ok(changed)
}

/// Elements in words.
fn elements(words: &str) -> Result<Vec<Element>> {
    policy::elements(words).map_err(|problems| match problems.into_iter().next() {
        Some(problem) => problem.hint.into_iter().fold(Error::usage(problem.what), Error::cause),
        None => Error::usage("these are no elements"),
    })
}

/// Whether rules ask a set for elements of these kinds.
fn takes(name: &str, set: &Set, elements: &[Element]) -> Result<()> {
    let has = |part: Part| set.contents.iter().any(|(kind, _)| *kind == part);
    match elements.iter().find(|element| !has(element.part())) {
        None => Ok(()),
        Some(stranger) => {
            let kinds: Vec<String> = set.contents.iter().map(|(part, _)| part_name(*part)).collect();
            let theirs = part_name(stranger.part());
            Err(Error::usage(format!("{stranger} in set {name}")).cause(format!(
                "the rules on {} ask this set for {}, not for {theirs}",
                set.target,
                kinds.join(" and ")
            )))
        }
    }
}

fn change_one<'a>(name: &'a str, set: &mut Set, elements: &[Element], add: bool) -> Result<Changed<'a>> {
    let mut changed = Changed { set: name, target: set.target.clone(), added: 0, removed: 0, notes: Vec::new() };
    for (part, contents) in &mut set.contents {
        if add {
            changed.added += contents.add(elements)?;
            continue;
        }
        changed.removed += contents.remove(elements)?;
        for element in elements.iter().filter(|element| element.part() == *part) {
            if contents.covers(element)? {
                changed.notes.push(format!("a wider prefix of {name} holds {element} still, on {}", set.target));
            }
        }
    }
    Ok(changed)
}

fn list(wish: &List) -> Result<String> {
    let mut loaded = wish.places.loaded()?;
    let names = wish.name.clone().map_or_else(|| sets::names(&loaded), |name| vec![name]);
    let mut listed = Vec::new();
    for name in names {
        for set in sets::named(&name, &mut loaded)? {
            let mut elements = Vec::new();
            for (_, contents) in &set.contents {
                elements.extend(contents.list()?.iter().map(ToString::to_string));
            }
            listed.push(Listed { set: name.clone(), target: set.target, elements });
        }
    }
    if wish.places.json {
        return json(&listed);
    }
    let lines = |one: &Listed| -> String {
        let head = format!("{} on {}: {} elements\n", one.set, one.target, one.elements.len());
        head + &one.elements.iter().map(|element| format!("  {element}\n")).collect::<String>()
    };
    Ok(listed.iter().map(lines).collect())
}

fn json<T: Serialize>(sets: &[T]) -> Result<String> {
    serde_json::to_string_pretty(&Document { version: 1, sets })
        .map(|text| text + "\n")
        .map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))
}
