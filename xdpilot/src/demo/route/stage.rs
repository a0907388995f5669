//! Where the story plays: a client, a router, three cats, and the wires between them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::{configure, netns_directory, veth};

use super::super::stage::INTERFACE;
use super::super::{leftovers, play, web};

/// The cats' names.
pub(super) const CATS: [&str; 3] = ["cat1", "cat2", "cat3"];
/// What the client asks. Nobody has this address.
pub(super) const SERVICE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 9, 9, 9), 80);
const PORT: u16 = 8080;
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// How long links may take to carry packets.
const PATIENCE: Duration = Duration::from_secs(10);

/// A stage that is set.
pub(super) struct Stage {
    /// Where the client is.
    pub(super) client: Namespace,
    /// What names the router's interface towards the client.
    pub(super) target: String,
    cats: Vec<Cat>,
}

/// A web server with a namespace of its own.
struct Cat {
    namespace: Namespace,
    name: &'static str,
    address: SocketAddr,
    /// What serves there, until it is killed.
    serving: Option<web::Server>,
}

impl Stage {
    /// Ends a cat's server.
    pub(super) fn kill(&mut self, number: usize) {
        self.cats[number].serving = None;
    }

    /// Starts a cat's server.
    ///
    /// Errors: its port is taken.
    pub(super) fn revive(&mut self, number: usize) -> Result<()> {
        self.cats[number].serve()
    }
}

impl Cat {
    fn serve(&mut self) -> Result<()> {
        let (name, address) = (self.name, self.address);
        let start = || {
            TcpListener::bind(address)
                .and_then(|listener| web::Server::start(listener, name))
                .map_err(|error| Error::failed(format!("serve on {address}")).kernel(error.to_string()))
        };
        self.serving = Some(self.namespace.run(start)?);
        Ok(())
    }
}

/// The cat's address on its wire to the router, and the router's there.
fn wire(number: usize) -> [IpAddr; 2] {
    let subnet = u8::try_from(number + 1).unwrap_or(u8::MAX);
    [2, 1].map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, subnet, host)))
}

/// A cat as a backend.
pub(super) fn backend(number: usize) -> SocketAddr {
    SocketAddr::new(wire(number)[0], PORT)
}

/// Makes the hosts in network namespaces of this process's own, and waits until the client reaches the cats.
///
/// Errors: the kernel's, mostly for want of root; it was stopped. What was made until then is for `leftovers` to clean.
pub(super) fn set(pid: u32, stop: &AtomicBool) -> Result<Stage> {
    let name = leftovers::namespace(pid, "router");
    let router = netns_directory::create(&name)?;
    router.run(|| {
        let path = "/proc/sys/net/ipv4/ip_forward";
        fs::write(path, "1").map_err(|error| Error::failed(format!("write {path}")).kernel(error.to_string()))
    })?;
    let host = |role: &str, near: &str, addresses: [IpAddr; 2]| -> Result<Namespace> {
        let host = netns_directory::create(&leftovers::namespace(pid, role))?;
        connect((&host, INTERFACE), (&router, near), addresses)?;
        host.run(|| configure::add_default_route(addresses[1]))?;
        Ok(host)
    };
    let client = host("client", INTERFACE, [CLIENT, GATEWAY])?;
    let mut cats = Vec::new();
    for (number, name) in CATS.into_iter().enumerate() {
        let namespace = host(name, name, wire(number))?;
        let mut cat = Cat { namespace, name, address: backend(number), serving: None };
        cat.serve()?;
        cats.push(cat);
    }
    cats.iter().try_for_each(|cat| await_way(&client, cat.address, stop))?;
    Ok(Stage { client, target: format!("netns:{name}/{INTERFACE}"), cats })
}

/// A veth pair with these addresses at its ends.
fn connect(far: (&Namespace, &str), near: (&Namespace, &str), addresses: [IpAddr; 2]) -> Result<()> {
    let end = |(namespace, name)| veth::End { namespace, name, mac: None };
    let (one, other) = veth::create(end(far), end(near), veth::Settings::default())?;
    let set = |interface: &Interface, address| {
        configure::add_address(interface, address, 24).and_then(|()| configure::set_up(interface))
    };
    far.0.run(|| set(&one, addresses[0]))?;
    near.0.run(|| set(&other, addresses[1]))
}

/// Waits until a server answers: a fresh link carries packets up to a second after both ends are up.
fn await_way(client: &Namespace, server: SocketAddr, stop: &AtomicBool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = client.run(|| Ok(web::get(server, Duration::from_millis(300))))? {
        if stop.load(Ordering::Relaxed) {
            return Err(play::stopped());
        }
        if Instant::now() > deadline {
            return Err(Error::failed(format!("reach {server}")).kernel(error.to_string()));
        }
    }
    Ok(())
}
