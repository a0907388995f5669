//! `xdpilot pool`: the backends of loaded policies, changed while packets flow.

mod show;

use std::io::Write;

use clap::{Args as ClapArgs, Subcommand};
use serde::Serialize;
use xdpilot_core::error::{Error, Kind, Result};
use xdpilot_core::near;
use xdpilot_core::policy::{self, Backend};
use xdpilot_core::route::{Member, State, flags};

use crate::place::Place;
use crate::policy::places::Places;
use crate::pools::join::{self, Joined};
use crate::pools::live::Live;
use crate::pools::ways;
use crate::state;
use crate::trial::printed;

/// Show and change the backends of loaded policies, without loading them anew.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot pool show --watch
  xdpilot pool add cats 10.0.1.4:8080 weight 2
  xdpilot pool add cats docker:web4:8080 --on eth0
  xdpilot pool weight cats 10.0.1.4:8080 5
  xdpilot pool drain cats 10.0.1.4:8080
  xdpilot pool remove cats 10.0.1.4:8080

Connections stay with their backends. A change lasts until the policy is loaded anew. Pools of a store are changed
there: xdpilot edit pool cats")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Show(show::Args),
    /// Add a backend; one that drains takes connections again
    Add(Add),
    /// Give a backend no new connections
    Drain(One),
    /// Take a backend away; connections that it has go to others
    Remove(One),
    /// Change a backend's share of new connections
    Weight(Weight),
}

#[derive(Debug, ClapArgs)]
struct Add {
    /// The pool's name
    name: String,
    /// The backend as it stands in a policy: 10.0.1.4:8080 weight 2
    #[arg(required = true, value_name = "BACKEND")]
    backend: Vec<String>,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, ClapArgs)]
struct One {
    /// The pool's name
    name: String,
    /// The backend, as `pool show` names it
    backend: String,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, ClapArgs)]
struct Weight {
    /// The pool's name
    name: String,
    /// The backend, as `pool show` names it
    backend: String,
    /// Its share, relative to the others'
    weight: u16,
    #[command(flatten)]
    places: Places,
}

/// What was done to a pool at one place.
#[derive(Debug, Serialize)]
struct Changed {
    pool: String,
    target: String,
    backend: String,
    done: String,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Document<'a, T: Serialize> {
    version: u32,
    pools: &'a [T],
}

/// Runs the verb.
///
/// # Errors
/// There is no such pool or backend, or it cannot be changed so.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let text = match &args.action {
        Action::Show(wish) => return show::run(wish, out),
        Action::Add(wish) => add(wish),
        Action::Drain(wish) => each(&wish.name, &wish.places, |live, pool| drain(live, pool, &wish.backend)),
        Action::Remove(wish) => each(&wish.name, &wish.places, |live, pool| remove(live, pool, &wish.backend)),
        Action::Weight(wish) => {
            each(&wish.name, &wish.places, |live, pool| weigh(live, pool, &wish.backend, wish.weight))
        }
    }?;
    printed(out.write_all(text.as_bytes()))
}

/// The loaded policies that route, at these places or everywhere.
fn live(places: &Places) -> Result<Vec<Live>> {
    let mut loaded = places.loaded()?;
    loaded.iter_mut().filter_map(|one| Live::open(one).transpose()).collect()
}

/// Those that have a pool of this name.
fn named(name: &str, places: &Places) -> Result<Vec<(Live, u16)>> {
    let all = live(places)?;
    let mut names: Vec<String> = all.iter().flat_map(|live| &live.pools).map(|pool| pool.name.clone()).collect();
    names.sort();
    names.dedup();
    let found: Vec<_> = all.into_iter().filter_map(|live| live.pool(name).map(|pool| (live, pool))).collect();
    if found.is_empty() {
        let error = Error::usage(format!("no loaded policy has a pool {name}"));
        return Err(match names.as_slice() {
            [] => error.cause("no policy that routes is loaded there").mend("xdpilot status"),
            names => error.cause(near::suggestion(name, "pools", names)),
        });
    }
    Ok(found)
}

/// Changes a pool wherever it is loaded.
fn each(name: &str, places: &Places, change: impl Fn(&Live, u16) -> Result<(String, Joined)>) -> Result<String> {
    let _lock = state::lock();
    let mut changed = Vec::new();
    let found = named(name, places)?;
    found.iter().try_for_each(|(live, _)| refuse_stored(name, live))?;
    for (live, pool) in found {
        let _pools = state::lock_pools();
        let (backend, Joined { done, notes }) =
            change(&live, pool).map_err(|error| error.context(format!("pool {name} on {}", live.target)))?;
        changed.push(Changed { pool: name.to_string(), target: live.target.clone(), backend, done, notes });
    }
    if places.json {
        return json(&changed, false);
    }
    changed.iter().flat_map(|one| &one.notes).for_each(|note| eprintln!("note: {note}"));
    let line = |one: &Changed| format!("{}: {} of {} {}\n", one.target, one.backend, one.pool, one.done);
    Ok(changed.iter().map(line).collect())
}

/// Refuses to change what a store would change back.
fn refuse_stored(name: &str, live: &Live) -> Result<()> {
    let Some(stored) = &live.stored else { return Ok(()) };
    Err(Error::new(Kind::Refused, format!("change pool {name} on {}", live.target))
        .cause(format!(
            "policy {} is there for a store, which would undo the change: change the pool in the store",
            stored.policy
        ))
        .mend(format!("xdpilot edit pool {name}")))
}

fn add(wish: &Add) -> Result<String> {
    let words = wish.backend.join(" ");
    let backend: Backend = policy::one_backend(&words).map_err(|problem| {
        let error = Error::usage(problem.what);
        problem.hint.into_iter().fold(error, Error::cause)
    })?;
    each(&wish.name, &wish.places, |live, pool| Ok((backend.label(), join::add(live, pool, &backend)?)))
}

/// The backend of this name, and its number.
fn backend(live: &Live, pool: u16, name: &str) -> Result<(usize, Member)> {
    live.find(pool, name).ok_or_else(|| {
        let names: Vec<String> = live.members(pool).into_iter().map(|(_, member)| member.name).collect();
        Error::usage(format!("it has no backend {name}")).cause(near::suggestion(name, "backends", &names))
    })
}

fn drain(live: &Live, pool: u16, name: &str) -> Result<(String, Joined)> {
    let (number, mut member) = backend(live, pool, name)?;
    member.backend.flags |= flags::DRAINS;
    live.write(number, &member);
    live.turn(pool, &live.state());
    let left = live.active().get(number).copied().unwrap_or(0);
    Ok((name.to_string(), Joined::of(format!("drains: {left} connections are left"))))
}

fn weigh(live: &Live, pool: u16, name: &str, weight: u16) -> Result<(String, Joined)> {
    let (number, mut member) = backend(live, pool, name)?;
    let before = std::mem::replace(&mut member.weight, weight);
    live.write(number, &member);
    live.turn(pool, &live.state());
    Ok((name.to_string(), Joined::of(format!("has weight {weight}, and had {before}"))))
}

fn remove(live: &Live, pool: u16, name: &str) -> Result<(String, Joined)> {
    let (number, _) = backend(live, pool, name)?;
    let cut = live.active().get(number).copied().unwrap_or(0);
    let mut state = live.state();
    let gone = State { members: vec![state.members.get_mut(number).and_then(Option::take)] };
    live.turn(pool, &state);
    live.name(&state)?;
    live.clear(number);
    let place = Place::of_link(&live.pinned, &live.target)?;
    place.namespace.run(|| ways::forget_neighbours(&gone, &state))?;
    let mut joined = Joined::of("removed".to_string());
    if cut > 0 {
        joined.notes.push(format!("{cut} connections to {name} were cut; drained first, it would have had none"));
    }
    Ok((name.to_string(), joined))
}

/// A document of JSON, on one line where it is one of many.
fn json<T: Serialize>(pools: &[T], one_of_many: bool) -> Result<String> {
    let write = if one_of_many { serde_json::to_string } else { serde_json::to_string_pretty };
    write(&Document { version: 1, pools })
        .map(|text| text + "\n")
        .map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))
}
