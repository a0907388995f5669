//! Connections of checks that reach a backend as clients' packets do: to the address of the service, in the same outer
//! headers, to the same Ethernet address.
//!
//! They begin in a network namespace of their own that has nothing but a TUN interface. What they send by it is carried
//! ([`super::pump`]) by the interface that leads to the backend. The backend answers to an address of this host; a program
//! takes these answers out of what arrives there, and they come back by the TUN interface. Nothing of this host's
//! network is changed, and all of it is gone with this process, however that ends.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::errno::Errno;
use nix::libc::linger;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, getsockname, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use xdpilot_core::emit::answers;
use xdpilot_core::error::{Error, Result as Outcome};
use xdpilot_core::route::{Backend, Hop};
use xdpilot_core::rules::Rules;
use xdpilot_kernel::configure;
use xdpilot_kernel::frames::Sender;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::load::{Loaded, ProgramKind, Request, load};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::perf_buffer::PerfBuffer;
use xdpilot_kernel::tun::Tun;
use xdpilot_kernel::{neighbour, route};

use super::check::{left, words};
use super::pump::{Pump, Table};
use crate::place::Place;

/// The MTU where checks begin: outer headers fit on every way that carries IPv6.
const MTU: u32 = 1280;
/// The most that a backend may send before somebody reads it, in bytes.
const WINDOW: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(5);

/// What carries checks to the backends of a policy at a place.
#[derive(Debug)]
pub(super) struct Carrier {
    place: Place,
    /// Where the connections begin.
    inside: Namespace,
    tun: Interface,
    /// The addresses of this host that they have there.
    addresses: Mutex<HashSet<IpAddr>>,
    /// Takes the answers out.
    program: Loaded,
    /// Where it does, by interface.
    links: Mutex<HashMap<u32, Link>>,
    table: Arc<Table>,
    pump: Pump,
}

/// A backend that is asked at an address of its service.
#[derive(Clone, Debug)]
pub(super) struct Carried<'a> {
    pub(super) carrier: &'a Carrier,
    pub(super) pool: u16,
    pub(super) backend: Backend,
    pub(super) service: IpAddr,
    /// The address of this host that asks.
    pub(super) own: IpAddr,
}

/// A connection of a check; it is broken off with this value.
#[derive(Debug)]
pub(super) struct Connection<'a> {
    pub(super) stream: TcpStream,
    /// Dropped behind the stream, whose last packet is carried too.
    _under_way: UnderWay<'a>,
}

/// The carrier knows where the packets of a connection go.
#[derive(Debug)]
struct UnderWay<'a>(&'a Table, SocketAddr, SocketAddr);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.end(self.1, self.2);
    }
}

impl Carrier {
    /// Prepares to carry checks to the backends of a policy that stands at a place.
    ///
    /// # Errors
    /// The kernel has no TUN or no TCX (Linux 6.6), or refuses.
    pub(super) fn new(rules: &Arc<Rules>, place: &Place) -> Outcome<Self> {
        let inside = Namespace::new()?;
        let (tun, interface) = inside.run(|| {
            let tun = Tun::new("checks")?;
            let interface = tun.interface()?;
            // Where IPv6 is off for new namespaces; where the kernel has none there is nothing to be switched on.
            _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "0");
            configure::set_mtu(&interface, MTU)?;
            configure::set_up(&interface)?;
            configure::add_default_route_by(&interface, false)?;
            Ok((tun, interface))
        })?;
        let elf = answers::elf()?;
        let (name, entry, kind) = ("xdpilot", answers::NAME, ProgramKind::Classifier);
        let program = load(&Request { elf: &elf, name, entry, kind, ..Request::default() })?;
        let table = Arc::new(Table::new(program.map(answers::CHECKS)?));
        let taken = PerfBuffer::new(program.map(answers::TAKEN)?)?;
        let sender = place.namespace.run(Sender::new)?;
        let pump = Pump::start(rules, &table, tun, sender, taken)?;
        let (addresses, links) = Default::default();
        let place = place.try_clone()?;
        let carrier = Carrier { place, inside, tun: interface, addresses, program, links, table, pump };
        carrier.take_answers_at(carrier.place.interface.index)?;
        Ok(carrier)
    }

    /// The address of this host that a backend can answer to when it is asked at an address of its service; none where
    /// there is none, or nothing is carried any more.
    pub(super) fn own(&self, backend: &Backend, service: IpAddr) -> Outcome<Option<IpAddr>> {
        if !self.pump.works() {
            return Ok(None);
        }
        self.place.namespace.run(|| {
            let there = route::to(backend.address)?;
            let fits = |address: &IpAddr| {
                let is_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
                address.is_ipv6() == service.is_ipv6() && *address != service && !is_local
            };
            if let Some(source) = there.and_then(|route| route.source).filter(fits) {
                return Ok(Some(source));
            }
            // The backend's own address is of the other version.
            let exit = backend.hop.map(|hop| hop.ifindex).or(there.map(|route| route.interface));
            for index in exit.into_iter().chain([self.place.interface.index]) {
                let addresses = route::addresses(&Interface::by_index(index)?)?;
                if let Some(address) = addresses.into_iter().find(fits) {
                    return Ok(Some(address));
                }
            }
            Ok(None)
        })
    }

    /// Takes answers out of what arrives at this interface from now on.
    fn take_answers_at(&self, ifindex: u32) -> Outcome<()> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        // An interface may have gone, and another one have its index.
        links.retain(|_, link| link.info().is_ok_and(|info| info.is_alive()));
        if let Entry::Vacant(free) = links.entry(ifindex) {
            let attach = || Link::attach_ingress(self.program.entry(), ifindex);
            free.insert(self.place.namespace.run(attach)?);
        }
        Ok(())
    }

    /// Where connections begin, from this address.
    fn have(&self, own: IpAddr) -> Outcome<()> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if !addresses.contains(&own) {
            self.inside.run(|| {
                configure::add_address(&self.tun, own, if own.is_ipv6() { 128 } else { 32 })?;
                let is_first = own.is_ipv6() && !addresses.iter().any(IpAddr::is_ipv6);
                if is_first { configure::add_default_route_by(&self.tun, true) } else { Ok(()) }
            })?;
            addresses.insert(own);
        }
        Ok(())
    }

    /// The next hop to a backend, as the data plane finds it.
    fn hop(&self, backend: &Backend, end: Instant) -> Result<Hop, String> {
        if let Some(hop) = backend.hop {
            return Ok(hop);
        }
        let found = self.place.namespace.run(|| match route::to(backend.address)? {
            Some(route) => Ok(Some((route, Interface::by_index(route.interface)?))),
            None => Ok(None),
        });
        let (way, interface) = found.map_err(|error| error.to_string())?.ok_or("there is no route to it")?;
        if way.local {
            return Err("it is an address of this host".to_string());
        }
        let (host, source) = (way.gateway.unwrap_or(backend.address), interface.mac.unwrap_or_default());
        loop {
            let known = self.place.namespace.run(|| neighbour::find(&interface, host));
            if let Some(destination) = known.map_err(|error| error.to_string())? {
                return Ok(Hop { ifindex: interface.index, destination, source, mtu: interface.mtu });
            }
            left(end).map_err(|_| format!("{host} does not answer on {}", interface.name))?;
            thread::sleep(PAUSE);
        }
    }
}

impl Carried<'_> {
    /// Opens a connection to the service that the backend gets.
    pub(super) fn connect(&self, service: SocketAddr, end: Instant) -> Result<Connection<'_>, String> {
        let Carried { carrier, pool, mut backend, own, .. } = *self;
        let hop = carrier.hop(&backend, end)?;
        backend.hop = Some(hop);
        let prepared = carrier.take_answers_at(hop.ifindex).and_then(|()| carrier.have(own));
        prepared.map_err(|error| error.to_string())?;
        let io = |errno: Errno| words(&errno.into());
        let open = || {
            let family = if own.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
            let opened = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None);
            opened.map_err(|errno| Error::failed("open a socket").kernel(errno.desc()))
        };
        let socket = carrier.inside.run(open).map_err(|error| error.to_string())?;
        prepare(&socket, left(end)?).map_err(io)?;
        let asks = bound(&socket, own).map_err(io)?;
        carrier.table.begin(asks, service, pool, backend).map_err(|error| error.to_string())?;
        let under_way = UnderWay(&carrier.table, asks, service);
        let stream = TcpStream::from(socket);
        match connect(stream.as_raw_fd(), &SockaddrStorage::from(service)) {
            Ok(()) => Ok(Connection { stream, _under_way: under_way }),
            // What a time limit of a blocking socket is called here.
            Err(Errno::EINPROGRESS) => Err("no answer in time".to_string()),
            Err(errno) => Err(io(errno)),
        }
    }
}

/// A socket that waits so long for a connection, and ends it at once, so that nothing of it is left on either side.
fn prepare(socket: &OwnedFd, patience: Duration) -> nix::Result<()> {
    setsockopt(socket, sockopt::RcvBuf, &WINDOW)?;
    setsockopt(socket, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 })?;
    let patience = TimeVal::new(patience.as_secs() as _, patience.subsec_micros().max(1).into());
    setsockopt(socket, sockopt::SendTimeout, &patience)
}

/// Binds a socket to an address, and a port that is free there.
fn bound(socket: &OwnedFd, own: IpAddr) -> nix::Result<SocketAddr> {
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(own, 0)))?;
    let bound: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v4 = bound.as_sockaddr_in().map(|one| one.port());
    let port = v4.or(bound.as_sockaddr_in6().map(|one| one.port())).unwrap_or_default();
    Ok(SocketAddr::new(own, port))
}
