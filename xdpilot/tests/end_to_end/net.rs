//! Networks of the tests' own: they vanish with the test.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::configure;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::netns_directory;
use xdpilot_kernel::veth::{self, End, Settings};

use crate::command::tool;

/// Long enough for a packet between two namespaces of a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// So long nothing arrived: it is lost.
pub(crate) const LOST: Duration = Duration::from_millis(200);

/// A name that nothing else on this machine has, at most 15 bytes.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("xp{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A named network namespace that is deleted with this value, and every interface in it.
pub(crate) struct Net {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
}

impl Net {
    /// Without IPv6: its neighbour discovery would be counted among the packets of the tests. And without forwarding,
    /// which is inherited from this host (a container engine switches it on there).
    pub(crate) fn new() -> Net {
        let name = unique();
        let namespace = netns_directory::create(&name).unwrap();
        let net = Net { name, namespace };
        net.run(|| {
            for which in ["all", "default"] {
                fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").unwrap();
            }
            fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
            configure::loopback_up().unwrap();
        });
        net
    }

    /// Does this inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.run(|| Ok(work())).unwrap()
    }

    pub(crate) fn interface(&self, name: &str) -> Interface {
        self.run(|| Interface::by_name(name)).unwrap()
    }

    /// The target of an interface in here.
    pub(crate) fn target(&self, interface: &str) -> String {
        format!("netns:{}/{interface}", self.name)
    }

    /// What ip(8) says of the program on an interface in here: its mode (1 native, 2 generic) and id.
    pub(crate) fn xdp(&self, interface: &str) -> Option<(u64, u32)> {
        let shown = tool(&format!("ip -n {} -j -d link show dev {interface}", self.name));
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let xdp = shown[0].get("xdp")?;
        Some((xdp["mode"].as_u64()?, u32::try_from(xdp["prog"]["id"].as_u64()?).ok()?))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // A test may have deleted it already.
        _ = netns_directory::delete(&self.name);
    }
}

/// Gives an interface its address, and the one neighbour that it will meet.
pub(crate) fn address(net: &Net, interface: &str, own: &str, other: &str, other_end: &Interface) {
    let interface = net.interface(interface);
    net.run(|| {
        configure::set_up(&interface)?;
        configure::add_address(&interface, ip(own), 24)?;
        configure::add_neighbour(&interface, ip(other), other_end.mac.unwrap())
    })
    .unwrap();
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A veth pair between two namespaces: `near0` (10.0.0.1), which sends, and `eth0` (10.0.0.2), which is filtered.
pub(crate) struct Pair {
    pub(crate) near: Net,
    pub(crate) far: Net,
}

pub(crate) const NEAR: &str = "10.0.0.1";
pub(crate) const FAR: &str = "10.0.0.2";

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair::with_mtu(1500)
    }

    pub(crate) fn with_mtu(mtu: u32) -> Pair {
        let pair = Pair { near: Net::new(), far: Net::new() };
        let settings = Settings { mtu: Some(mtu), ..Settings::default() };
        let near = End { namespace: &pair.near.namespace, name: "near0", mac: None };
        let far = End { namespace: &pair.far.namespace, name: "eth0", mac: None };
        let (near, far) = veth::create(near, far, settings).unwrap();
        address(&pair.near, "near0", NEAR, FAR, &far);
        address(&pair.far, "eth0", FAR, NEAR, &near);
        pair
    }

    /// The filtered interface as a target.
    pub(crate) fn target(&self) -> String {
        self.far.target("eth0")
    }

    /// The mode and id of the program on the filtered interface.
    pub(crate) fn xdp(&self) -> Option<(u64, u32)> {
        self.far.xdp("eth0")
    }

    #[track_caller]
    pub(crate) fn assert_flows(&self) {
        assert!(arrives(&self.near, &self.far, FAR, PATIENCE), "a datagram is lost");
    }

    #[track_caller]
    pub(crate) fn assert_dropped(&self) {
        assert!(!arrives(&self.near, &self.far, FAR, LOST), "a datagram comes through");
    }
}

/// A UDP socket in a namespace, bound to any port.
pub(crate) fn socket(net: &Net, host: &str) -> UdpSocket {
    let bound: Result<UdpSocket> =
        net.run(|| UdpSocket::bind((ip(host), 0)).map_err(|error| Error::failed(error.to_string())));
    bound.unwrap()
}

/// Whether a datagram sent from `from` arrives at this address of `to` within the patience.
pub(crate) fn arrives(from: &Net, to: &Net, host: &str, patience: Duration) -> bool {
    let receiver = socket(to, host);
    receiver.set_read_timeout(Some(patience)).unwrap();
    socket(from, "0.0.0.0").send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

/// Sends `count` datagrams of `size` bytes to a port nobody listens at.
pub(crate) fn send(from: &Net, host: &str, count: usize, size: usize) {
    let sender = socket(from, "0.0.0.0");
    for _ in 0..count {
        sender.send_to(&vec![7; size], SocketAddr::new(ip(host), 9)).unwrap();
    }
}

/// A process inside a namespace that ends when its input is closed.
pub(crate) struct Inhabitant(Child);

impl Inhabitant {
    pub(crate) fn of(net: &Net) -> Inhabitant {
        let mut child = Command::new("nsenter")
            .args([&format!("--net=/run/netns/{}", net.name), "sh", "-c", "echo ready; read line"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Inhabitant(child)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        _ = self.0.wait();
    }
}
