//! Packets of the tests, and whether they arrive.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::command::{done, tool};
use crate::net::{FAR, LOST, NEAR, Net, PATIENCE, Pair};

/// A second address of the sender.
pub(crate) const OTHER: &str = "10.0.0.9";
/// IPv6 addresses of sender and receiver.
pub(crate) const NEAR6: &str = "fd00::1";
pub(crate) const FAR6: &str = "fd00::2";

/// A pair whose sender has a second address, and both IPv6 ones.
pub(crate) fn pair() -> Pair {
    let pair = Pair::new();
    for (net, interface, six) in [(&pair.near, "near0", NEAR6), (&pair.far, "eth0", FAR6)] {
        net.run(|| std::fs::write(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6"), "0").unwrap());
        tool(&format!("ip -n {} addr add {six}/64 dev {interface} nodad", net.name));
    }
    tool(&format!("ip -n {} addr add {OTHER}/24 dev near0", pair.near.name));
    pair
}

fn address(host: &str, port: u16) -> SocketAddr {
    SocketAddr::new(host.parse::<IpAddr>().unwrap(), port)
}

/// Whether a datagram from this address arrives at a port.
pub(crate) fn udp_within(from: (&Net, &str, u16), to: (&Net, &str, u16), patience: Duration) -> bool {
    let bind = |net: &Net, host: &str, port: u16| net.run(|| UdpSocket::bind(address(host, port)).unwrap());
    let receiver = bind(to.0, to.1, to.2);
    receiver.set_read_timeout(Some(patience)).unwrap();
    bind(from.0, from.1, from.2).send_to(b"hello", address(to.1, to.2)).unwrap();
    receiver.recv(&mut [0; 16]).is_ok()
}

/// Datagrams from the sender's address `from` arrive at this port of the receiver.
#[track_caller]
pub(crate) fn udp_arrives(pair: &Pair, from: &str, port: u16) {
    let to = if from.contains(':') { FAR6 } else { FAR };
    assert!(udp_within((&pair.near, from, 0), (&pair.far, to, port), PATIENCE), "{from} to port {port} is lost");
}

/// They do not.
#[track_caller]
pub(crate) fn udp_is_dropped(pair: &Pair, from: &str, port: u16) {
    let to = if from.contains(':') { FAR6 } else { FAR };
    assert!(!udp_within((&pair.near, from, 0), (&pair.far, to, port), LOST), "{from} to port {port} comes through");
}

/// Whether a connection to this port of the receiver comes about in time.
pub(crate) fn tcp_within(pair: &Pair, host: &str, port: u16, patience: Duration) -> bool {
    let listener = pair.far.run(|| TcpListener::bind(address(host, port)).unwrap());
    let connected = pair.near.run(|| TcpStream::connect_timeout(&address(host, port), patience).is_ok());
    drop(listener);
    connected
}

/// A policy file that vanishes with this value, and others beside it.
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new(policy: &str) -> Files {
        let files = Files(tempfile::Builder::new().prefix("xp").tempdir().unwrap());
        files.write("edge.xdp", policy);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The policy's path as a word.
    pub(crate) fn policy(&self) -> String {
        self.path("edge.xdp").to_str().unwrap().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::File::create(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Puts another file in its place, as editors do.
    pub(crate) fn exchange(&self, name: &str, text: &str) {
        self.write("new", text);
        std::fs::rename(self.path("new"), self.path(name)).unwrap();
    }
}

/// Loads a policy in words on the receiver.
#[track_caller]
pub(crate) fn load(pair: &Pair, policy: &str) {
    done(&["load", "-e", policy, "--on", &pair.target()]);
}

/// What `status` says of the policy of a place: the one on packets that arrive, or the one on those that leave.
#[track_caller]
pub(crate) fn policy(target: &str, mode: &str) -> Value {
    let status: Value = serde_json::from_str(&done(&["status", "--on", target, "--json"]).out).unwrap();
    let programs = status["interfaces"][0]["programs"].as_array().unwrap().clone();
    programs.into_iter().find(|program| program["mode"] == mode).unwrap()["policy"].clone()
}

/// The packets that each rule of a place met.
#[track_caller]
pub(crate) fn hits(target: &str) -> Vec<u64> {
    let policy = policy(target, "native");
    policy["rules"].as_array().unwrap().iter().map(|rule| rule["packets"].as_u64().unwrap()).collect()
}

/// The sender's first address.
pub(crate) const FIRST: &str = NEAR;
