//! A small network built by our own calls carries traffic, and `ip` agrees with it.

use std::{
    net::{IpAddr, UdpSocket},
    time::{Duration, Instant},
};

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::{configure, interface::Interface, veth::Settings};

use crate::common::{Net, pair};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn io<T>(result: std::io::Result<T>) -> Result<T> {
    result.map_err(|error| Error::failed(error.to_string()))
}

/// Addresses `left` as .1 and `right` as .2 of 10.0.0.0/24 and fd00::/64, each knowing the other.
pub(crate) fn connect(left: &Net, right: &Net) {
    let ends = [(left, "left", 1), (right, "right", 2)];
    let found = ends.map(|(net, name, _)| net.namespace.run(|| Interface::by_name(name)).unwrap());
    for (at, (net, _, host)) in ends.into_iter().enumerate() {
        let (own, other) = (&found[at], &found[1 - at]);
        net.namespace
            .run(|| {
                configure::loopback_up()?;
                configure::set_up(own)?;
                for (network, prefix) in [("10.0.0.", 24), ("fd00::", 64)] {
                    configure::add_address(own, address(&format!("{network}{host}")), prefix)?;
                    configure::add_neighbour(own, address(&format!("{network}{}", 3 - host)), other.mac.unwrap())?;
                }
                Ok(())
            })
            .unwrap();
    }
}

/// How long a datagram may take before another is sent: a fresh link loses what is sent before the kernel has
/// activated it (`linkwatch_do_dev`, net/core/link_watch.c), and tells nobody when it has.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether one of the datagrams sent from `from` to this address arrives in `to` within the patience.
pub(crate) fn arrives(from: &Net, to: &Net, host: &str, patience: Duration) -> bool {
    let receiver = to.namespace.run(|| io(UdpSocket::bind((address(host), 0)))).unwrap();
    receiver.set_read_timeout(Some(patience.min(AGAIN))).unwrap();
    let any = if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let sender = from.namespace.run(|| io(UdpSocket::bind(any))).unwrap();
    let deadline = Instant::now() + patience;
    loop {
        sender.send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
        if receiver.recv(&mut [0; 16]).is_ok() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
    }
}

#[test]
fn root_configured_pair_carries_both_protocols() {
    let (left, right) = pair("cf", Settings::default());
    connect(&left, &right);
    assert!(arrives(&left, &right, "10.0.0.2", Duration::from_secs(10)));
    assert!(arrives(&left, &right, "fd00::2", Duration::from_secs(10)));
    assert!(left.output("ip neighbour show dev left").contains("10.0.0.2 lladdr"));
    assert!(left.output("ip neighbour show dev left").contains("PERMANENT"));
    let shown = left.output("ip -o address show dev left");
    assert!(shown.contains("inet 10.0.0.1/24") && shown.contains("inet6 fd00::1/64"), "{shown}");

    left.namespace
        .run(|| {
            configure::add_default_route(address("10.0.0.2"))?;
            configure::add_default_route(address("fd00::2"))
        })
        .unwrap();
    assert!(left.output("ip -4 route show default").contains("via 10.0.0.2 dev left"));
    assert!(left.output("ip -6 route show default").contains("via fd00::2 dev left"));
}

#[test]
fn root_interface_changes_are_seen_by_ip() {
    let (left, right) = pair("ch", Settings::default());
    let (left_end, bridge) = left
        .namespace
        .run(|| {
            let end = Interface::by_name("left")?;
            configure::set_mtu(&end, 1400)?;
            configure::set_mac(&end, [2, 0, 0, 0, 0, 7])?;
            configure::rename(&end, "renamed")?;
            let bridge = configure::create_bridge("bridge0")?;
            configure::enslave(&end, &bridge)?;
            configure::set_up(&bridge)?;
            Ok((Interface::by_name("renamed")?, Interface::by_name("bridge0")?))
        })
        .unwrap();
    assert_eq!((left_end.master, bridge.kind.as_deref(), bridge.up), (Some(bridge.index), Some("bridge"), true));
    let shown = left.output("ip -o link show renamed");
    for word in ["mtu 1400", "master bridge0", "02:00:00:00:00:07"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    left.namespace.run(|| configure::set_down(&bridge)).unwrap();
    assert!(!left.output("ip -o link show bridge0").contains("UP"));
    left.namespace.run(|| configure::delete(&left_end)).unwrap();
    assert!(!right.output("ip -o link").contains("right"), "the other end goes along");
    let error = left.namespace.run(|| configure::set_mtu(&left_end, 1500)).unwrap_err();
    assert_eq!(error.errno_value(), Some(nix::libc::ENODEV));
}

#[test]
fn root_alternative_names_and_long_lists_are_found() {
    let net = Net::new("many");
    for number in 0..300 {
        net.namespace.run(|| configure::create_bridge(&format!("br{number}"))).unwrap();
    }
    net.output("ip link property add dev br7 altname a-name-longer-than-fifteen-bytes");
    let (found, names) = net
        .namespace
        .run(|| Ok((Interface::by_name("a-name-longer-than-fifteen-bytes")?, Interface::names()?)))
        .unwrap();
    assert_eq!(found.name, "br7");
    assert_eq!(names.iter().filter(|name| name.starts_with("br")).count(), 300);
    let error = net.namespace.run(|| Interface::by_name("rb7")).unwrap_err();
    assert!(error.cause_text().unwrap().contains("br7"), "{error}");
}
