//! How packets reach the backends of a policy's pools, from a place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{Host, Method};
use xdpilot_core::route::{Hop, Member, State, translates};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::{neighbour, route, veth};

use crate::place::{self, Place};
use crate::policy::Compiled;

/// How long a host on a segment may take to tell its Ethernet address.
const PATIENCE: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(5);

/// The ways to all backends of a policy.
#[derive(Debug, Default)]
pub struct Ways {
    /// The backends, with their next hops where those are fixed.
    pub state: State,
    /// The interfaces that send to them, other than the place's own, each once.
    pub exits: Vec<Interface>,
    /// Hosts on a segment whose Ethernet addresses the kernel must know: interface and address.
    pub neighbours: Vec<(Interface, IpAddr)>,
    /// Whether replies come back through xdpilot.
    pub translates: bool,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// A backend's address, and what leads there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) address: IpAddr,
    pub(super) way: Way,
}

impl Found {
    /// Adds to a backend what the policy does not say of it: the source, where the kernel chooses that, and the next hop.
    pub(super) fn complete(&self, member: &mut Member, method: &Method, place: &Place) -> Result<()> {
        let backend = &mut member.backend;
        if method.wraps() && backend.source.is_unspecified() {
            backend.source = source(self.address, place)?.unwrap_or(backend.source);
        }
        if matches!(method, Method::FullNat(_)) && backend.source.is_unspecified() {
            return Err(Error::usage(format!("backend {}", member.name))
                .cause(format!("no from of the pool has the IP version of {}", self.address))
                .mend(format!("name such an address in the policy, behind via {method}")));
        }
        if let Way::Fixed(_, hop) = &self.way {
            backend.hop = Some(*hop);
        }
        Ok(())
    }
}

/// What leads to a backend.
#[derive(Debug)]
pub(super) enum Way {
    /// The kernel is asked for the next hop; this interface sends, to this host of its segment.
    Asked(Interface, IpAddr),
    /// An interface of a pair, or a port of a bridge, with the next hop.
    Fixed(Interface, Hop),
    /// There is none, for now.
    None(String),
}

/// Finds the ways of a policy's pools from a place.
///
/// # Errors
/// A container is not there or not connected with the place, or the kernel does not forward.
pub fn resolve(policy: &Compiled, place: &Place) -> Result<Ways> {
    let pools = &policy.rules.pools;
    let mut ways = Ways { translates: translates(pools), ..Ways::default() };
    let mut found = Vec::new();
    for pool in pools {
        for backend in &pool.backends {
            let one = find(&backend.host, place).map_err(|error| error.context(format!("pool {}", pool.name)))?;
            found.push((pool, backend.label(), one));
        }
    }
    let addresses: Vec<(String, IpAddr)> = pools
        .iter()
        .flat_map(|pool| &pool.backends)
        .zip(&found)
        .filter_map(|(backend, (_, _, one))| match &backend.host {
            Host::Target(target) => Some((target.clone(), one.address)),
            Host::Address(_) => None,
        })
        .collect();
    ways.state =
        State::new(pools, |name| addresses.iter().find(|(known, _)| known == name).map(|(_, address)| *address));
    for (number, (pool, name, one)) in (1..).zip(found) {
        if let Some(member) = ways.state.members.get_mut(number).and_then(Option::as_mut) {
            one.complete(member, &pool.method, place).map_err(|error| error.context(format!("pool {}", pool.name)))?;
        }
        ways.take(one.way, &name, place);
    }
    ways.check(place)?;
    Ok(ways)
}

impl Ways {
    /// Makes the kernel know the hosts by which backends are reached.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn keep_neighbours(&self, place: &Place) -> Result<()> {
        if self.neighbours.is_empty() {
            return Ok(());
        }
        let keep = || self.neighbours.iter().try_for_each(|(interface, address)| neighbour::keep(interface, *address));
        place.namespace.run(keep)
    }

    fn take(&mut self, way: Way, name: &str, place: &Place) {
        let exit = match way {
            Way::None(why) => return self.notes.push(format!("backend {name}: {why}")),
            Way::Asked(exit, host) => {
                if !self.neighbours.iter().any(|(known, address)| (known.index, *address) == (exit.index, host)) {
                    self.neighbours.push((exit.clone(), host));
                }
                exit
            }
            Way::Fixed(exit, _) => exit,
        };
        if exit.index != place.interface.index && self.exits.iter().all(|known| known.index != exit.index) {
            self.exits.push(exit);
        }
    }

    /// The kernel tells a program no next hop where it does not forward.
    fn check(&self, place: &Place) -> Result<()> {
        let members = || self.state.members.iter().flatten();
        let asks = |v6: bool| {
            members().any(|member| {
                member.backend.address.is_ipv6() == v6 && (self.translates || member.backend.hop.is_none())
            })
        };
        let replies = self.exits.iter().filter(|_| self.translates);
        let mut deaf = Vec::new();
        for interface in [&place.interface].into_iter().chain(replies) {
            for v6 in [false, true].into_iter().filter(|v6| asks(*v6)) {
                if !place.namespace.run(|| route::forwards(interface, v6))? {
                    deaf.push((interface, v6));
                }
            }
        }
        if deaf.is_empty() { Ok(()) } else { Err(no_forwarding(place, &deaf)) }
    }
}

/// These interfaces do not forward packets of these families (IPv6?).
fn no_forwarding(place: &Place, deaf: &[(&Interface, bool)]) -> Error {
    let key = |(interface, v6): &(&Interface, bool)| sysctl(route::forwarding(interface, *v6).as_str());
    let keys: Vec<String> = deaf.iter().map(key).collect();
    let mut names: Vec<&str> = deaf.iter().map(|(interface, _)| interface.name.as_str()).collect();
    names.dedup();
    let be = if keys.len() == 1 { "is" } else { "are" };
    let settings: Vec<String> = keys.iter().map(|key| format!("{key}=1")).collect();
    let enter = place.enter().map_or_else(String::new, |words| format!("{words} "));
    Error::usage(format!("route packets that arrive at {}", names.join(", ")))
        .cause(format!(
            "the kernel does not forward them ({} {be} 0), and then tells no way to the backends",
            keys.join(", ")
        ))
        .mend(format!("{enter}sysctl -w {}", settings.join(" ")))
}

/// The name that sysctl(8) has for a path below `/proc/sys`: a dot in an interface's name is a slash there.
fn sysctl(path: &str) -> String {
    let swap = |letter| match letter {
        '/' => '.',
        '.' => '/',
        other => other,
    };
    path.trim_start_matches("/proc/sys/").chars().map(swap).collect()
}

/// The source that the kernel would choose for packets to an address.
fn source(to: IpAddr, place: &Place) -> Result<Option<IpAddr>> {
    Ok(place.namespace.run(|| route::to(to))?.and_then(|route| route.source))
}

/// The address of a host, and the way there.
pub(super) fn find(host: &Host, place: &Place) -> Result<Found> {
    match host {
        Host::Target(words) => of_target(words, place),
        Host::Address(address) => Ok(Found { address: *address, way: to_address(*address, place)? }),
    }
}

/// The way to a container or namespace: into it by the near end of its veth pair.
fn of_target(words: &str, place: &Place) -> Result<Found> {
    let one = place::only(&words.parse()?)?;
    let inside = one.namespace.run(|| route::addresses(&one.interface))?;
    let is_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let mut usable = inside.into_iter().filter(|address| !is_local(address));
    let address = usable
        .next()
        .ok_or_else(|| Error::usage(words).cause(format!("its interface {} has no address", one.interface.name)))?;
    let near =
        one.namespace.run(|| veth::peer(&one.interface)).ok().filter(|(namespace, _)| *namespace == place.namespace);
    let Some((_, near)) = near else {
        let way = to_address(address, place)?;
        return Ok(Found { address, way });
    };
    let way = into(&near, one.interface.mac.unwrap_or_default(), one.interface.mtu, place)?;
    Ok(Found { address, way })
}

/// Into a host by this interface.
fn into(near: &Interface, destination: [u8; 6], mtu: u32, place: &Place) -> Result<Way> {
    let from = match near.master {
        Some(master) => place.namespace.run(|| Interface::by_index(master))?.mac,
        None => near.mac,
    };
    let hop = Hop { ifindex: near.index, destination, source: from.unwrap_or_default(), mtu: near.mtu.min(mtu) };
    Ok(Way::Fixed(near.clone(), hop))
}

/// The kernel's way to an address. No XDP program can send by a bridge: its port is looked for.
fn to_address(address: IpAddr, place: &Place) -> Result<Way> {
    let Some(route) = place.namespace.run(|| route::to(address))? else {
        return Ok(Way::None("there is no route to it now".into()));
    };
    if route.local {
        return Ok(Way::None(
            "it is an address of this host: packets that are translated are left to its stack".into(),
        ));
    }
    let interface = place.namespace.run(|| Interface::by_index(route.interface))?;
    let host = route.gateway.unwrap_or(address);
    if interface.kind.as_deref() != Some("bridge") {
        return Ok(Way::Asked(interface, host));
    }
    let Some(mac) = place.namespace.run(|| host_on(&interface, host))? else {
        return Ok(Way::None(format!("{host} does not answer on {}", interface.name)));
    };
    match place.namespace.run(|| port(&interface, mac))? {
        Some((near, mtu)) => into(&near, mac, mtu, place),
        None => Ok(Way::None(format!("no port of the bridge {} leads to {host}", interface.name))),
    }
}

/// The Ethernet address of a host on a segment; none where it does not answer.
fn host_on(interface: &Interface, host: IpAddr) -> Result<Option<[u8; 6]>> {
    let begin = Instant::now();
    let mut asked = false;
    loop {
        if let Some(mac) = neighbour::find(interface, host)? {
            return Ok(Some(mac));
        }
        if begin.elapsed() > PATIENCE {
            return Ok(None);
        }
        if !asked {
            neighbour::keep(interface, host)?;
            asked = true;
        }
        thread::sleep(PAUSE);
    }
}

/// The port of a bridge behind which a host is, where that is the other end of a pair, and the host's MTU.
fn port(bridge: &Interface, mac: [u8; 6]) -> Result<Option<(Interface, u32)>> {
    for port in Interface::list()?.into_iter().filter(|port| port.master == Some(bridge.index)) {
        if let Ok((_, peer)) = veth::peer(&port)
            && peer.mac == Some(mac)
        {
            return Ok(Some((port, peer.mtu)));
        }
    }
    Ok(None)
}

/// Lets the kernel forget the hosts that it was told to keep known for backends that are gone, where none of the others
/// is reached by them. In the calling thread's namespace.
///
/// # Errors
/// The kernel refuses.
pub fn forget_neighbours(gone: &State, others: &State) -> Result<()> {
    let kept = neighbours(others)?;
    for ((_, host), interface) in neighbours(gone)?.iter().filter(|(key, _)| !kept.contains_key(key)) {
        neighbour::forget(interface, *host)?;
    }
    Ok(())
}

/// The hosts of segments by which backends are reached whose next hops the kernel tells.
fn neighbours(state: &State) -> Result<BTreeMap<(u32, IpAddr), Interface>> {
    let mut found = BTreeMap::new();
    for member in state.members.iter().flatten().filter(|member| member.backend.hop.is_none()) {
        let address = member.backend.address;
        if let Some(route) = route::to(address)?.filter(|route| !route.local) {
            let interface = Interface::by_index(route.interface)?;
            found.insert((interface.index, route.gateway.unwrap_or(address)), interface);
        }
    }
    Ok(found)
}
