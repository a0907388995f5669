//! Puts a program on places: on all of them, or on none.

use std::os::fd::AsFd;
use std::path::PathBuf;

use serde::Serialize;
use xdpilot_core::emit::{BACKENDS, RETURN};
use xdpilot_core::error::Result;
use xdpilot_core::modernize::Choice;
use xdpilot_core::pass;
use xdpilot_core::route::State;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::ProgramInfo;

use crate::attach::{self, Attached, Old, Wish};
use crate::companion;
use crate::detach;
use crate::direction::Hook;
use crate::place::Place;
use crate::policy::redirect::{self, Exit};
use crate::policy::{counters, fill};
use crate::pools::live::{self, Live};
use crate::pools::ways::{self, Ways};
use crate::pools::{self, carry, joined, returns};
use crate::prepare::{self, Program, Wanted};
use crate::record::{self, Record};
use crate::source::Input;
use crate::state;
use crate::sweep;

/// What is to be done, apart from how it was asked for.
#[derive(Clone, Debug)]
pub struct Order {
    /// Which program.
    pub choice: Choice,
    /// How it is attached.
    pub wish: Wish,
    /// Leave it as it is.
    pub bare: bool,
    /// Show all that libbpf and the verifier say.
    pub verbose: bool,
    /// Rules of a policy that stand in the replaced one too go on with its counters.
    pub carry: bool,
}

/// What was done at one place.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The target as it was named.
    pub target: String,
    /// The target and the interface, for people.
    #[serde(skip)]
    pub label: String,
    /// The interface.
    pub interface: String,
    /// The program's name.
    pub program: String,
    /// Its id.
    pub id: u32,
    /// Its tag.
    pub tag: String,
    /// How it stands there: native, generic, offload or egress.
    pub mode: String,
    /// Where its link is pinned; none for an attachment by netlink.
    pub link: Option<PathBuf>,
    /// Whether its verdicts are counted.
    pub counted: bool,
    /// The id of the program that it took the place of.
    pub replaced: Option<u32>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// One place with the program that was put there.
struct Done<'a> {
    place: &'a Place,
    old: Option<Old>,
    program: Program,
    attached: Attached,
    /// Where packets go.
    routes: Routes,
    /// Whether it goes on with the pools of the program before.
    carried: bool,
    /// Whether it brought its companion to the other end of the veth pair.
    accompanied: bool,
    /// Where it brought companions that let in what it redirects: pins of their links.
    let_in: Vec<PathBuf>,
}

/// Puts the program on every place, or on none.
///
/// # Errors
/// All places are as before.
pub fn load(input: &Input, places: &[Place], order: &Order) -> Result<Vec<Outcome>> {
    let _lock = pins::ensure_mounted().ok().and_then(|()| state::lock());
    sweep::sweep();
    on_all(input, places, order)
}

/// The same without a [`sweep`](sweep::sweep), which looks at all programs: for who puts one after the other, and sweeps
/// now and then. What is left at these places is removed.
///
/// # Errors
/// As [`load`].
pub fn load_unswept(input: &Input, places: &[Place], order: &Order) -> Result<Vec<Outcome>> {
    let _lock = pins::ensure_mounted().ok().and_then(|()| state::lock());
    places.iter().for_each(|place| sweep::at(&place.link_path(order.wish.direction)));
    on_all(input, places, order)
}

/// All places are under the caller's lock.
fn on_all(input: &Input, places: &[Place], order: &Order) -> Result<Vec<Outcome>> {
    // All places are looked at before anything is done to one.
    let standing: Vec<_> = places.iter().map(|place| attach::free(place, order.wish)).collect::<Result<_>>()?;
    let routes: Vec<_> = places.iter().map(|place| routes(input, place)).collect::<Result<_>>()?;
    let mut done: Vec<Done<'_>> = Vec::new();
    for ((place, old), routes) in places.iter().zip(standing).zip(routes) {
        match put(input, (place, old, routes), order) {
            Ok(one) => done.push(one),
            Err(error) => {
                done.iter().rev().for_each(undo);
                return Err(error);
            }
        }
    }
    Ok(done.into_iter().map(finish).collect())
}

/// Where a policy's packets go.
#[derive(Default)]
struct Routes {
    /// By `redirect`, in the order of the targets.
    redirects: Vec<Exit>,
    /// By `route`.
    ways: Ways,
    /// The interfaces by which those go.
    exits: Vec<Exit>,
}

/// Where a policy's packets go from a place.
fn routes(input: &Input, place: &Place) -> Result<Routes> {
    let Input::Policy(policy) = input else { return Ok(Routes::default()) };
    let ways = ways::resolve(policy, place)?;
    Ok(Routes { redirects: redirect::resolve(policy, place)?, exits: redirect::by(&ways.exits, place)?, ways })
}

/// Loads the program for one place, attaches it there, and does what must be done around it.
fn put<'a>(input: &Input, (place, old, routes): (&'a Place, Option<Old>, Routes), order: &Order) -> Result<Done<'a>> {
    let shared = match (input, &old) {
        (Input::Policy(policy), Some(old)) => carry::shared(&old.standing.program, policy)?,
        _ => Vec::new(),
    };
    // What is bound to a device is loaded where the device is; what is attached is, too.
    let stand = || stand(input, (place, old.as_ref(), &routes), order, &shared);
    let (program, attached) = place.namespace.run(stand)?;
    let mut done = Done {
        place,
        old,
        program,
        attached,
        routes,
        carried: !shared.is_empty(),
        accompanied: false,
        let_in: Vec::new(),
    };
    match settle(&mut done) {
        Ok(()) => Ok(done),
        Err(error) => {
            undo(&done);
            Err(error)
        }
    }
}

/// Loads the program, fills its maps, and attaches it, from the namespace of the place.
fn stand(
    input: &Input,
    (place, old, routes): (&Place, Option<&Old>, &Routes),
    order: &Order,
    shared: &[Map],
) -> Result<(Program, Attached)> {
    let program = prepare_one(input, (place, old, routes), order, shared)?;
    let ready = || -> Result<Attached> {
        keep_maps(&program)?;
        returns::keep(&program.loaded)?;
        if let Input::Policy(policy) = input {
            fill::sets(policy, &program.loaded)?;
            redirect::fill(&routes.redirects, &program.loaded)?;
            if shared.is_empty() {
                pools::fill::fill(&policy.rules.pools, &routes.ways.state, &program.loaded)?;
            }
            if let Some(old) = old.filter(|_| order.carry) {
                counters::carry(&old.standing.program, policy, &program.loaded)?;
            }
        }
        attach::attach(place, &program, order.wish, old)
    };
    let attached = ready().inspect_err(|_| state::remove_maps(program.loaded.info().id))?;
    Ok((program, attached))
}

fn prepare_one(
    input: &Input,
    (place, old, routes): (&Place, Option<&Old>, &Routes),
    order: &Order,
    shared: &[Map],
) -> Result<Program> {
    let before = old.and_then(|old| Record::of(&old.standing.program).ok().flatten()).unwrap_or_default();
    let mut record =
        Record { source: input.origin(), target: place.target.clone(), policy: None, stored: None, ..before };
    record.receivers.extend(routes.redirects.iter().filter_map(Exit::receiver_key));
    if let Input::Policy(policy) = input {
        record.policy = Some(policy.record());
        record.stored.clone_from(&policy.stored);
    }
    let wanted = Wanted {
        input,
        choice: &order.choice,
        bare: order.bare,
        ifindex: place.interface.index,
        offload: order.wish.mode == Some(Mode::Offload),
        verbose: order.verbose,
        shared,
    };
    let loaded = prepare::load(&wanted, &record);
    if order.verbose {
        let log = loaded.as_ref().map_or_else(|failure| failure.log.as_str(), |program| program.loaded.log());
        eprintln!("{}", log.trim_end());
    }
    loaded.map_err(|failure| prepare::refusal(failure, &place.facts(order.wish.mode, &record.source)))
}

/// Pins what the kernel would forget when this process ends.
fn keep_maps(program: &Program) -> Result<()> {
    if program.keep.is_empty() {
        return Ok(());
    }
    let folder = state::maps_folder(program.loaded.info().id);
    state::make_folder(&folder)?;
    for name in &program.keep {
        program.loaded.map(name)?.pin(&folder.join(name))?;
    }
    Ok(())
}

/// Pins what the object asks for, and prepares the ways of what is routed, and the veth peer.
fn settle(done: &mut Done<'_>) -> Result<()> {
    let Done { place, program, attached, routes, carried, .. } = done;
    for (name, path) in &program.pins {
        let path = state::reachable(path);
        if let Some(folder) = path.parent() {
            state::make_folder(folder)?;
        }
        program.loaded.map(name)?.pin(&path)?;
    }
    let returns = returns::of(program.loaded.info().id).ok();
    if let Some(program) = &returns {
        for interface in &routes.ways.exits {
            returns::put(place, interface, program.as_fd())?;
            attached
                .notes
                .push(format!("put {RETURN} on {}, where replies arrive; unload takes it off", interface.name));
        }
    }
    routes.ways.keep_neighbours(place)?;
    if *carried {
        let pools = state::lock_pools();
        let gone = carry::merge(&Live::at(place)?, &routes.ways.state)?;
        drop(pools);
        place.namespace.run(|| ways::forget_neighbours(&gone, &routes.ways.state))?;
    }
    attached.notes.append(&mut routes.ways.notes);
    let (native, replies) =
        (attached.hook == Hook::Xdp(Mode::Native), returns.is_some() && !routes.ways.exits.is_empty());
    if native {
        let_in(done);
    } else if done.program.loaded.map(BACKENDS).is_ok() {
        done.attached.notes.extend(joined::note(place));
    }
    // What undoes replies stands in native mode also where the policy does not.
    if native && done.program.sends || replies {
        accompany(done);
    }
    Ok(())
}

/// Brings companions to where what it redirects arrives.
fn let_in(done: &mut Done<'_>) {
    let Done { place, program, attached, routes, let_in, .. } = done;
    let backends = program.loaded.map(BACKENDS).ok().map(|map| map.info().id);
    let routed = routes.exits.iter().map(|exit| (exit, backends));
    for (exit, serves) in routes.redirects.iter().map(|exit| (exit, None)).chain(routed) {
        match companion::let_in(exit, &place.target, serves) {
            Ok(None) => {}
            Ok(Some(path)) => {
                let_in.push(path);
                attached.notes.push(format!(
                    "put {} on {}, or frames redirected to {} would be lost; unload takes it off",
                    pass::NAME,
                    exit.receiver_name(),
                    exit.target
                ));
            }
            Err(error) => attached.notes.push(format!("frames redirected to {} will be lost: {error}", exit.target)),
        }
    }
}

/// Brings a companion to the other end of the place's veth pair.
fn accompany(done: &mut Done<'_>) {
    let Done { place, attached, accompanied, .. } = done;
    match companion::accompany(place) {
        Ok(false) => {}
        Ok(true) => {
            *accompanied = true;
            attached.notes.push(format!(
                "put {} at the other end of the veth pair, or frames sent back would be lost; unload takes it off",
                pass::NAME
            ));
        }
        Err(error) => attached.notes.push(format!("frames that it sends back will be lost: {error}")),
    }
}

/// Takes back what was done at one place, since another failed.
fn undo(done: &Done<'_>) {
    let Done { place, old, program, attached, .. } = done;
    let undone = match old {
        Some(old) => {
            unsettle(done);
            attach::restore(place, attached, program, old)
        }
        None => {
            let_out(done);
            attach::standing(place, attached.hook.direction())
                .and_then(|now| now.iter().try_for_each(|new| detach::detach(place, new).map(drop)))
        }
    };
    state::remove_maps(program.loaded.info().id);
    if let Err(error) = undone {
        eprintln!("note: {} could not be put back: {error}", place.label);
    }
}

/// Takes the companions off that were brought to let in what it redirects.
fn let_out(done: &Done<'_>) {
    let Done { place, old, program, routes, .. } = done;
    let info = program.loaded.info();
    let alone = old.as_ref().map_or_else(|| info.map_ids.clone(), |old| only(info, &old.standing.program));
    // Those of the program before go on.
    if let Some(before) = old.as_ref().and_then(|old| returns::of(old.standing.program.id).ok()) {
        for interface in &routes.ways.exits {
            _ = returns::put(place, interface, before.as_fd());
        }
    }
    if let Err(error) = returns::take_off(&alone) {
        eprintln!("note: {error}");
    }
    for error in done.let_in.iter().filter_map(|path| companion::take_off(path).err()) {
        eprintln!("note: {error}");
    }
}

/// The maps that a program has and another has not.
fn only(program: &ProgramInfo, other: &ProgramInfo) -> Vec<u32> {
    program.map_ids.iter().copied().filter(|map| !other.map_ids.contains(map)).collect()
}

/// The reverse of [`settle`], as far as that came.
fn unsettle(done: &Done<'_>) {
    let Done { place, program, accompanied, .. } = done;
    let made = Record { pins: program.pins.iter().map(|(_, path)| path.clone()).collect(), ..Record::default() };
    let unpinned = detach::remove_pins(&made, program.loaded.info()).map(drop);
    let dismissed = if *accompanied { companion::dismiss(place).map(drop) } else { Ok(()) };
    let_out(done);
    for error in [unpinned, dismissed].into_iter().filter_map(Result::err) {
        eprintln!("note: {error}");
    }
}

/// Takes off what a program that was replaced needed on the side of its backends, and the new one does not.
fn leave_old(old: &ProgramInfo, new: &ProgramInfo, place: &Place, state: &State) -> Result<()> {
    let Some(backends) = record::map_named(old, BACKENDS)? else { return Ok(()) };
    let alone = only(old, new);
    detach::leave_backends(&alone)?;
    match alone.contains(&backends.info().id) {
        true => place.namespace.run(|| ways::forget_neighbours(&live::backends(&backends)?, state)),
        false => Ok(()),
    }
}

/// Removes what the program before left, and says what was done.
fn finish(done: Done<'_>) -> Outcome {
    let Done { place, old, program, attached, routes, .. } = done;
    let replaced = old.as_ref().map(|old| old.standing.program.id);
    if let Some(id) = replaced {
        state::remove_maps(id);
    }
    let mut notes = program.notes;
    notes.extend(attached.notes);
    // The program before may have had backends elsewhere.
    let left =
        old.as_ref().map(|old| leave_old(&old.standing.program, program.loaded.info(), place, &routes.ways.state));
    notes.extend(left.into_iter().filter_map(Result::err).map(|error| error.to_string()));
    let info = program.loaded.info();
    Outcome {
        target: place.target.clone(),
        label: place.label.clone(),
        interface: place.interface.name.clone(),
        program: info.name.clone(),
        id: info.id,
        tag: info.tag.clone(),
        mode: attached.hook.to_string(),
        link: attached.link,
        counted: program.wrapped,
        replaced,
        notes,
    }
}
