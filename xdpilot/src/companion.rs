//! A program at the far end of a veth pair that lets frames in: without one there, those that XDP_TX sends are lost
//! (`veth_xdp_flush`, drivers/net/veth.c, wakes a peer only if it has a program; GRO is not enough).
//!
//! It is there as long as the other end has a program that may send.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use xdpilot_core::error::Result;
use xdpilot_core::{elf, pass};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::program::ProgramInfo;
use xdpilot_kernel::{pins, veth};

use crate::direction::Direction;
use crate::linked::{self, Linked};
use crate::place::Place;
use crate::policy::redirect::Exit;
use crate::pools::returns::is_return;
use crate::record::Record;
use crate::state;

/// Puts the companion at the far end of a place's veth pair, if nothing stands there; returns whether it did.
///
/// # Errors
/// The kernel refuses a program there.
pub fn accompany(place: &Place) -> Result<bool> {
    match place.peer() {
        Some((namespace, peer)) if peer.xdp.is_empty() => put(&namespace, &peer, &place.target, None).map(|()| true),
        _ => Ok(false),
    }
}

/// Puts the companion where frames arrive that are redirected or (to backends of the map `serves`) routed, if nothing
/// stands there; returns where its link is pinned. One that is there serves this map from then on.
///
/// # Errors
/// The kernel refuses a program there.
pub fn let_in(exit: &Exit, target: &str, serves: Option<u32>) -> Result<Option<PathBuf>> {
    let Some((namespace, receiver)) = &exit.receiver else { return Ok(None) };
    let path = state::link_path(Direction::Ingress, namespace.inode(), receiver.index);
    if receiver.xdp.is_empty() {
        put(namespace, receiver, target, serves)?;
        return Ok(Some(path));
    }
    let standing = record_on(receiver)?.filter(|record| record.companion && record.serves != serves);
    if let (Some(_), Some(_), Ok(link)) = (serves, standing, Link::open_pinned(&path)) {
        link.update(companion(target, serves)?.entry(), None)?;
    }
    Ok(None)
}

/// Takes the companions off that let in what a program routed that is gone, by its maps; returns how many they were.
///
/// # Errors
/// The kernel refuses it.
pub fn release_served(maps: &[u32]) -> Result<usize> {
    let mut released = 0;
    for Linked { pinned, program, .. } in linked::all()? {
        if Record::of(&program)?.and_then(|record| record.serves).is_some_and(|map| maps.contains(&map)) {
            dismiss_orphan(&pinned.path, pinned.namespace, pinned.ifindex)?;
            released += usize::from(!pinned.path.exists());
        }
    }
    Ok(released)
}

/// Takes the companions off that let in what a program redirected that is gone, where no other needs them; returns
/// how many they were.
///
/// # Errors
/// The kernel refuses it.
pub fn release(receivers: &BTreeSet<(u64, u32)>) -> Result<usize> {
    let mut released = 0;
    for (namespace, ifindex) in receivers {
        let path = state::link_path(Direction::Ingress, *namespace, *ifindex);
        let Ok(link) = Link::open_pinned(&path) else { continue };
        let program = ProgramInfo::of_id(link.info()?.program_id)?;
        let record = program.as_ref().map(Record::of).transpose()?.flatten();
        if record.is_some_and(|record| record.companion) {
            dismiss_orphan(&path, *namespace, *ifindex)?;
            released += usize::from(!path.exists());
        }
    }
    Ok(released)
}

/// Whether a program of xdpilot's redirects frames that arrive at this interface.
fn is_receiver(namespace: u64, ifindex: u32) -> Result<bool> {
    for Linked { pinned, info, program, .. } in linked::all()? {
        let arrives = pinned.direction == Direction::Ingress && info.is_alive();
        let receives = |record: Record| record.receivers.contains(&(namespace, ifindex));
        if arrives && Record::of(&program)?.is_some_and(receives) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the program is there whose backends a companion serves.
fn is_served(record: Option<&Record>) -> Result<bool> {
    let Some(map) = record.and_then(|record| record.serves) else { return Ok(false) };
    let serves = |one: &Linked| one.info.is_alive() && !is_return(&one.program) && one.program.map_ids.contains(&map);
    Ok(linked::all()?.iter().any(serves))
}

/// Puts the companion on a place that was left, if the far end has a program that may send; returns whether it did.
///
/// # Errors
/// The kernel refuses a program there.
pub fn succeed(place: &Place) -> Result<bool> {
    let Some((_, peer)) = place.peer() else { return Ok(false) };
    let now = place.namespace.run(|| Interface::by_index(place.interface.index))?;
    let sends = record_on(&peer)?.is_some_and(|record| record.sends);
    if sends && now.xdp.is_empty() {
        put(&place.namespace, &place.interface, &place.target, None)?;
    }
    Ok(sends)
}

/// Takes the companion off at the far end of a place's veth pair; returns whether it was there.
///
/// # Errors
/// The kernel refuses it.
pub fn dismiss(place: &Place) -> Result<bool> {
    let Some((namespace, peer)) = place.peer() else { return Ok(false) };
    let record = record_on(&peer)?.filter(|record| record.companion);
    let there = record.is_some() && !is_receiver(namespace.inode(), peer.index)? && !is_served(record.as_ref())?;
    if there {
        take_off(&state::link_path(Direction::Ingress, namespace.inode(), peer.index))?;
    }
    Ok(there)
}

/// Takes a companion off whose other end has no program any more, since the command that took that off was killed.
///
/// # Errors
/// The kernel refuses it.
pub fn dismiss_orphan(path: &Path, namespace: u64, ifindex: u32) -> Result<()> {
    let Some(found) = Namespace::all().into_iter().find(|found| found.namespace.inode() == namespace) else {
        return Ok(());
    };
    let own = found.namespace.run(|| Interface::by_index(ifindex))?;
    let (_, peer) = found.namespace.run(|| veth::peer(&own))?;
    let needed = is_receiver(namespace, ifindex)? || is_served(record_on(&own)?.as_ref())?;
    if peer.xdp.is_empty() && !needed { take_off(path) } else { Ok(()) }
}

fn put(namespace: &Namespace, interface: &Interface, target: &str, serves: Option<u32>) -> Result<()> {
    let loaded = companion(target, serves)?;
    let path = state::link_path(Direction::Ingress, namespace.inode(), interface.index);
    state::make_folder(&state::folder())?;
    pins::remove(&path)?;
    namespace.run(|| Link::attach_xdp(loaded.entry(), interface.index, Mode::Native.flag()))?.pin(&path)
}

/// The program in the kernel.
fn companion(target: &str, serves: Option<u32>) -> Result<Loaded> {
    let mut object = pass::object();
    let (source, target) = ("xdpilot".into(), target.into());
    let record = Record { source, target, companion: true, serves, ..Record::default() };
    record.attach_to(&mut object);
    let elf = elf::write(&object);
    Ok(load(&Request { elf: &elf, name: "xdpilot", entry: pass::NAME, ..Request::default() })?)
}

/// Takes a companion off.
///
/// # Errors
/// The kernel refuses it.
pub fn take_off(path: &Path) -> Result<()> {
    Link::open_pinned(path)?.detach()?;
    pins::remove(path)?;
    state::remove_folder();
    Ok(())
}

/// The record of the native program of an interface.
fn record_on(interface: &Interface) -> Result<Option<Record>> {
    match interface.xdp.native.map(ProgramInfo::of_id).transpose()?.flatten() {
        Some(program) => Record::of(&program),
        None => Ok(None),
    }
}
