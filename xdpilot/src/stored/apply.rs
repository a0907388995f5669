//! `xdpilot apply`: policies, sets and pools of files become documents of a store.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Members, PartKind, PolicyPlace, is_name};

use super::access::Access;
use super::config::StoreArgs;
use super::{print, print_json, rollout, wait};
use crate::agent::api::forms::{OutcomeForm, Written};
use crate::agent::report::{Report, State};
use crate::documents::change::{Content, Edit, Outcome};
use crate::documents::{Kind, Name};
use crate::policy::places::Places;
use crate::policy::{Text, read_elements};

/// Put policies, sets and pools into the store, and so on all interfaces where the policies say that they live.
///
/// All of it is stored at once, or nothing. Without an agent the policies are attached by this command; agents follow
/// the store by themselves.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot apply -f edge.xdp                  # policy edge on docker:web { … }
  xdpilot apply -f policies/ --wait
  xdpilot apply -f edge.xdp --canary 10% --bake 5m --wait --timeout 600
  xdpilot apply -f edge.xdp --on 'node role=edge eth0, docker:web traffic from'
  xdpilot apply -f - --store etcd://10.0.0.1,10.0.0.2,10.0.0.3 < edge.xdp")]
pub struct Args {
    /// A policy file, a folder of them (*.xdp), or - for the standard input; may be given several times
    #[arg(long = "file", short = 'f', value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the policies live, whatever they say themselves: [node KEY=VALUE…] TARGET [traffic from], …
    #[arg(long, value_name = "PLACES")]
    on: Option<String>,
    /// Give it to a share of the nodes first: 10%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    canary: Option<u8>,
    /// How long those must be well with it before the others get it: 60s, 5m
    #[arg(long, value_name = "TIME", value_parser = rollout::time, default_value = "60s", requires = "canary")]
    bake: Duration,
    /// Wait until all nodes have it; of a rollout, until it is over
    #[arg(long)]
    wait: bool,
    /// How long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = wait::PATIENCE)]
    timeout: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    #[serde(flatten)]
    outcome: OutcomeForm,
    /// How this node is then; none where its agent tells.
    node: Option<Report>,
}

/// Runs the verb.
///
/// # Errors
/// Something in the files is wrong: nothing is stored. Or something could not be attached: it is stored all the same.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let edits = edits(&args.files, args.on.as_deref())?;
    let access = Access::open(args.store.config()?)?;
    if let Some(share) = args.canary {
        let begun = access.stage(&edits, share, args.bake)?;
        rollout::print_one(&begun, args.json, out)?;
        return if args.wait { rollout::until_over(&access, &begun, args.timeout) } else { Ok(()) };
    }
    let outcome = access.commit(&edits)?;
    let own = finish(&access, outcome, args.json, out)?;
    if args.wait && own.is_none() { wait::until_all_have(&access, args.timeout).map(drop) } else { Ok(()) }
}

/// A share of a hundred: `10%`.
fn share(words: &str) -> std::result::Result<u8, String> {
    let number = words.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|number| (1..=100).contains(number)).ok_or_else(|| "expected 1% to 100%".to_string())
}

/// Changes one set.
///
/// # Errors
/// The store has no such set; places are named, which a store does not know.
pub(crate) fn one(store: &StoreArgs, places: &Places, set: &str, content: Content, out: &mut impl Write) -> Result<()> {
    let name = Name::checked(Kind::Set, set)?;
    if places.are_named() {
        return Err(Error::usage(format!("change {name} at some places"))
            .cause("a set of a store has the same elements wherever it is used: --on does not go with --store"));
    }
    let access = Access::open(store.config()?)?;
    let outcome = access.commit(&[Edit { name, content: Some(content), version: None }])?;
    finish(&access, outcome, places.json, out).map(drop)
}

/// Attaches what must be, and says what was done; how this machine is then, where no agent tells.
pub(super) fn finish(access: &Access, outcome: Outcome, json: bool, out: &mut impl Write) -> Result<Option<Report>> {
    let node = access.reconcile()?;
    let done = Done { outcome: OutcomeForm::of(&outcome), node };
    if json {
        print_json(out, &done)?;
    } else {
        print(out, &told(&done))?;
    }
    let failed = |report: &Report| report.attached.iter().filter(|one| one.state == State::Failed).count();
    match done.node.as_ref().map_or(0, failed) {
        0 => Ok(done.node),
        1 => Err(Error::failed("attach a policy: it is stored, and not in force here")),
        count => {
            Err(Error::failed(format!("attach policies at {count} places: they are stored, and not in force there")))
        }
    }
}

fn told(done: &Done) -> String {
    let mut text = String::new();
    for Written { document, version } in &done.outcome.written {
        text += &format!("{document}: stored, version {version}\n");
    }
    done.outcome.deleted.iter().for_each(|name| text += &format!("{name}: deleted\n"));
    done.outcome.unchanged.iter().for_each(|name| text += &format!("{name}: unchanged\n"));
    for one in done.node.iter().flat_map(|report| &report.attached) {
        let place = one.interface.as_ref().unwrap_or(&one.place);
        let why = one.why.as_ref().map_or_else(String::new, |why| format!(": {}", why.replace('\n', "\n  ")));
        text += &match (one.state, one.program) {
            (State::Ok, Some(id)) => format!("{place}: policy {} is in force (id {id})\n", one.policy),
            (State::Waiting, _) => format!("{place}: policy {} waits for it{why}\n", one.policy),
            _ => format!("{place}: policy {} failed{why}\n", one.policy),
        };
    }
    text
}

/// The edits that make the documents of all files.
pub(super) fn edits(files: &[PathBuf], on: Option<&str>) -> Result<Vec<Edit>> {
    let places = on.map(places).transpose()?;
    let mut edits: Vec<Edit> = Vec::new();
    for text in texts(files)? {
        for edit in of_text(&text, places.as_deref())? {
            if edits.iter().any(|other| other.name == edit.name) {
                return Err(Error::usage(format!("{} of {}", edit.name, text.name)).cause("another file has it too"));
            }
            edits.push(edit);
        }
    }
    Ok(edits)
}

fn places(words: &str) -> Result<Vec<PolicyPlace>> {
    policy::some_places(words).map_err(|problem| Error::usage(problem.show("--on", words)))
}

/// The texts of all files, folders and of the standard input.
fn texts(files: &[PathBuf]) -> Result<Vec<Text>> {
    let mut texts = Vec::new();
    for path in files {
        if path == Path::new("-") {
            let mut text = String::new();
            let read = io::stdin().read_to_string(&mut text);
            read.map_err(|error| Error::failed("read the standard input").kernel(error.to_string()))?;
            texts.push(Text { text, path: None, name: "the standard input".to_string() });
        } else if path.is_dir() {
            let paths = in_folder(path)?;
            if paths.is_empty() {
                return Err(Error::usage(format!("read {}", path.display())).cause("there is no policy (*.xdp) in it"));
            }
            for path in paths {
                texts.push(Text::of_file(&path)?);
            }
        } else {
            texts.push(Text::of_file(path)?);
        }
    }
    Ok(texts)
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: io::Error| Error::failed(format!("read {}", folder.display())).kernel(error.to_string());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "xdp") && path.is_file());
    paths.sort();
    Ok(paths)
}

fn of_text(text: &Text, places: Option<&[PolicyPlace]>) -> Result<Vec<Edit>> {
    let stem = text.path.as_deref().and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or_default();
    let unnamed = if is_name(stem) { stem } else { policy::UNNAMED };
    let (document, parts) = policy::split(&text.text, unnamed).map_err(|problems| text.error(&problems))?;
    let mut edits = Vec::new();
    for part in parts {
        let kind = match part.kind {
            PartKind::Set => Kind::Set,
            PartKind::Pool => Kind::Pool,
            PartKind::Policy => Kind::Policy,
        };
        let file = document.sets.iter().filter(|_| kind == Kind::Set).find(|set| set.name == part.name);
        let content = match file.map(|set| &set.members) {
            Some(Members::File(path)) => Content::Elements(read_elements(&beside(text, path))?),
            // Those that are many are stored in pieces.
            Some(Members::Listed(elements)) if elements.len() > MANY => Content::Elements(elements.clone()),
            _ => Content::Text(part.text),
        };
        edits.push(Edit { name: Name::checked(kind, &part.name)?, content: Some(content), version: None });
        let lives = places.unwrap_or(&part.places);
        if kind == Kind::Policy && !lives.is_empty() {
            let words: Vec<String> = lives.iter().map(ToString::to_string).collect();
            let content = Some(Content::Text(words.join(", ")));
            edits.push(Edit { name: Name::checked(Kind::Attachment, &part.name)?, content, version: None });
        }
    }
    Ok(edits)
}

/// A set of more elements is not kept as it was written.
const MANY: usize = 1000;

/// The path of a set's file, relative to the policy's folder.
fn beside(text: &Text, path: &str) -> PathBuf {
    text.path.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(path)
}
