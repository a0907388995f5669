//! `redirect` between namespaces.

use std::net::UdpSocket;
use std::time::Duration;

use xdpilot_kernel::configure;
use xdpilot_kernel::veth::{self, End, Settings};

use crate::command::{done, ends, json, tool, unload};
use crate::net::{FAR, LOST, NEAR, Net, PATIENCE, Pair, socket};
use crate::traffic::udp_within;

/// A third namespace whose `eth0` has the receiver's address; `out0` beside the receiver's `eth0` leads to it.
///
/// The sender computes its checksums: those that it leaves to its interface are not there yet when XDP sees the packet.
fn third(pair: &Pair) -> Net {
    let third = Net::new();
    for (net, interface) in [(&pair.near, "near0"), (&pair.far, "eth0")] {
        tool(&format!("ip netns exec {} ethtool -K {interface} tx off", net.name));
    }
    let out = End { namespace: &pair.far.namespace, name: "out0", mac: None };
    let end = End { namespace: &third.namespace, name: "eth0", mac: Some([2, 0, 0, 0, 0, 3]) };
    let (out, end) = veth::create(out, end, Settings::default()).unwrap();
    pair.far.run(|| configure::set_up(&out)).unwrap();
    third
        .run(|| configure::set_up(&end).and_then(|()| configure::add_address(&end, FAR.parse().unwrap(), 24)))
        .unwrap();
    third
}

fn arrives(pair: &Pair, at: &Net, patience: Duration) -> bool {
    udp_within((&pair.near, NEAR, 0), (at, FAR, 4000), patience)
}

#[test]
fn root_redirected_packets_arrive_and_nothing_stays_behind() {
    let pair = Pair::new();
    let third = third(&pair);
    for target in ["out0".to_string(), third.target("eth0")] {
        let policy = format!("set ether dst 02:00:00:00:00:03; redirect {target} when udp dst port 4000");
        let answer = json(&["load", "-e", &policy, "--on", &pair.target()]).remove(0);
        assert!(answer["notes"].to_string().contains("put xdpilot_pass on eth0"), "{answer}");
        assert!(arrives(&pair, &third, PATIENCE), "{target}");
        assert!(!arrives(&pair, &pair.far, LOST), "{target}");
        // Another command must not take it for left behind.
        unload(&pair.near.target("near0"));
        assert!(arrives(&pair, &third, PATIENCE), "{target}");
        let ran = unload(&pair.target());
        assert!(ran.err.contains("took xdpilot_pass off where frames were redirected to"), "{ran:?}");
        assert_eq!(third.xdp("eth0"), None);
        assert!(arrives(&pair, &pair.far, PATIENCE));
    }
}

#[test]
fn root_a_target_that_is_not_there_is_told_before_anything_is_attached() {
    let pair = Pair::new();
    let third = third(&pair);
    let policy = |target: &str| format!("redirect {target} when udp");
    let ran = ends(2, &["load", "-e", &policy("out1"), "--on", &pair.near.target("near0"), "--on", &pair.target()]);
    assert!(ran.err.contains("redirect out1") && ran.err.contains("near0"), "{ran:?}");
    let ran = ends(2, &["load", "-e", &policy("out9"), "--on", &pair.target()]);
    assert!(ran.err.contains("out0"), "the nearest name: {ran:?}");
    assert_eq!((pair.xdp(), pair.near.xdp("near0")), (None, None));
    let target = third.target("eth0");
    let ran = ends(2, &["load", "-e", &policy(&target), "--on", &pair.near.target("near0"), "--direction", "egress"]);
    assert!(ran.err.contains("can only go to an interface beside"), "{ran:?}");
}

#[test]
fn root_packets_that_leave_can_leave_elsewhere() {
    let pair = Pair::new();
    let third = third(&pair);
    // It comes from an address of its receiver's own: another one.
    let policy =
        "set src 10.0.0.7; set ether dst 02:00:00:00:00:03; set dst 10.0.0.2; redirect out0 when udp dst port 4000";
    done(&["load", "-e", policy, "--on", &pair.target(), "--direction", "egress"]);
    assert!(leaves_to(&pair, &third));
    unload(&pair.target());
}

/// A datagram of the receiver to the sender, which arrives in the third namespace.
fn leaves_to(pair: &Pair, third: &Net) -> bool {
    let bound = third.run(|| UdpSocket::bind((FAR, 4000)).unwrap());
    bound.set_read_timeout(Some(PATIENCE)).unwrap();
    socket(&pair.far, FAR).send_to(b"hello", (NEAR, 4000)).unwrap();
    bound.recv(&mut [0; 16]).is_ok()
}
