//! Each probe of an interface speaks on the facts that it is for, and is silent on a sound one.

use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::mode::Attached;
use xdpilot_kernel::offload::Channels;
use xdpilot_kernel::xdp_features::XdpFeatures;

use super::subject::{Peer, Subject};
use super::{Level, judge};

fn interface(name: &str) -> Interface {
    Interface {
        index: 2,
        name: name.into(),
        mac: None,
        mtu: 1500,
        up: true,
        kind: Some("veth".into()),
        link: Some(3),
        link_netnsid: None,
        master: None,
        rx_queues: 1,
        tx_queues: 1,
        xdp: Attached::default(),
    }
}

/// A pair on which everything works.
fn sound() -> Subject {
    let one = Channels { max_rx: 1, max_tx: 1, max_combined: 0, rx: 1, tx: 1, combined: 0 };
    let peer = Peer {
        enter: "ip netns exec red ".into(),
        interface: interface("far"),
        gro: Some(true),
        tx_checksum: Some(false),
        channels: Some(one),
    };
    Subject {
        target: "netns:blue/near".into(),
        enter: "ip netns exec blue ".into(),
        interface: interface("near"),
        features: Some(XdpFeatures { native: true, redirect: true, transmit: true, offload: false, frags: true }),
        channels: Some(one),
        peer: Some(peer),
        busy_above: Vec::new(),
        busy_members: Vec::new(),
        poor_members: Vec::new(),
    }
}

#[test]
fn a_sound_interface_has_nothing_to_mend() {
    assert_eq!(judge(&sound()).iter().map(|finding| finding.level).collect::<Vec<_>>(), [Level::Ok]);
}

#[test]
fn each_lack_is_named_with_its_mend() {
    let with = |change: &dyn Fn(&mut Subject, &mut Peer)| {
        let mut subject = sound();
        let mut peer = subject.peer.clone().unwrap();
        change(&mut subject, &mut peer);
        subject.peer = Some(peer);
        subject
    };
    for (subject, level, mend) in [
        (with(&|s, _| s.interface.up = false), Level::Fail, "ip netns exec blue ip link set near up"),
        (with(&|s, _| s.features.as_mut().unwrap().native = false), Level::Warn, "--mode generic"),
        (with(&|s, _| s.interface.xdp.generic = Some(7)), Level::Warn, "xdpilot unload --on netns:blue/near"),
        (with(&|s, _| s.busy_above = vec!["br0".into()]), Level::Fail, "xdpilot unload --on netns:blue/br0"),
        (with(&|s, _| s.busy_members = vec!["eth1".into()]), Level::Fail, "xdpilot unload --on eth1"),
        (with(&|s, _| s.poor_members = vec!["eth1".into()]), Level::Warn, "ip link set eth1 nomaster"),
        (with(&|_, p| p.interface.mtu = 3505), Level::Warn, "ip netns exec red ip link set far mtu 3504"),
        (with(&|_, p| p.channels.as_mut().unwrap().tx = 2), Level::Warn, "ip netns exec red ethtool -L far tx 1"),
        (with(&|_, p| p.gro = Some(false)), Level::Warn, "ip netns exec red ethtool -K far gro on"),
        (with(&|_, p| p.tx_checksum = Some(true)), Level::Warn, "ip netns exec red ethtool -K far tx off"),
    ] {
        let bad: Vec<_> = judge(&subject).into_iter().filter(|finding| finding.level != Level::Ok).collect();
        assert_eq!(bad.len(), 1, "{bad:?}");
        assert_eq!(bad[0].level, level, "{bad:?}");
        assert!(bad[0].mend.as_ref().unwrap().contains(mend), "{bad:?}");
    }
}

#[test]
fn a_kernel_that_cannot_be_asked_is_judged_by_the_kind() {
    let native = |kind: &str| {
        let mut subject = Subject { features: None, ..sound() };
        subject.interface.kind = Some(kind.into());
        judge(&subject)[0].level
    };
    assert_eq!((native("veth"), native("bridge")), (Level::Ok, Level::Warn));
}
