//! What the kernel tells of interfaces: a monitor at home in one namespace hears of others.

use std::collections::BTreeSet;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use xdpilot_kernel::monitor::{Change, Monitor, What};
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::netns_directory::{self, Names};
use xdpilot_kernel::veth::{self, Settings};
use xdpilot_kernel::watch::{readable_or_mounted, readable_within};

use crate::common::{Net, output, pair};

/// A monitor whose home is a namespace of the test.
fn at_home(home: &Net) -> Monitor {
    home.namespace.run(Monitor::new).unwrap()
}

/// What is told until this change comes, at most a second later.
#[track_caller]
fn await_change(monitor: &mut Monitor, namespace: u64, wanted: impl Fn(&What) -> bool) -> Vec<Change> {
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut told = Vec::new();
    while !told.iter().any(|change: &Change| change.namespace == namespace && wanted(&change.what)) {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "only this was told: {told:?}");
        readable_within(&[monitor.as_fd()], left).unwrap();
        told.extend(monitor.drain().unwrap());
    }
    told
}

fn names(names: &[&str]) -> What {
    What::Links(names.iter().map(ToString::to_string).collect())
}

#[test]
fn root_interfaces_of_followed_namespaces_are_told_of() {
    let (home, other) = (Net::new("moh"), Net::new("moo"));
    let mut monitor = at_home(&home);
    assert!(monitor.follow(&home.namespace).unwrap() && monitor.follow(&other.namespace).unwrap());
    assert!(!monitor.follow(&other.namespace).unwrap());
    assert_eq!(monitor.drain().unwrap(), []);
    let (inside, outside) = (other.namespace.inode(), home.namespace.inode());
    let told = |monitor: &mut Monitor, namespace, wanted: &[&str]| {
        await_change(monitor, namespace, |what| *what == names(wanted))
    };

    veth::create(home.end("left"), other.end("right"), Settings::default()).unwrap();
    told(&mut monitor, outside, &["left"]);
    other.output("ip link set right name eth0");
    told(&mut monitor, inside, &["right", "eth0"]);
    for change in ["up", "mtu 1400", "down", "up"] {
        other.output(&format!("ip link set eth0 {change}"));
        told(&mut monitor, inside, &["eth0"]);
    }
    other.output("ip link property add dev eth0 altname uplink");
    told(&mut monitor, inside, &["eth0", "uplink"]);
    other.output(&format!("ip link set eth0 netns {}", home.name));
    let moved = told(&mut monitor, outside, &["eth0", "uplink"]);
    assert!(moved.contains(&Change { namespace: inside, what: names(&["eth0", "uplink"]) }), "{moved:?}");
    home.output("ip link delete left");
    monitor.retain(|namespace| namespace == outside);
    await_change(&mut monitor, outside, |what| matches!(what, What::Links(names) if names.contains("left")));
}

/// Addresses, bridges and programs come with messages about the interface too.
#[test]
fn root_what_concerns_no_target_is_not_told() {
    let (home, other) = pair("mon", Settings::default());
    home.output("ip link set left up");
    other.output("ip link add br0 type bridge");
    let mut monitor = at_home(&home);
    let own: BTreeSet<u64> = [&home, &other].map(|net| net.namespace.inode()).into();
    for net in [&home, &other] {
        monitor.follow(&net.namespace).unwrap();
    }
    other.output("ip link set right up");
    await_change(&mut monitor, other.namespace.inode(), |what| *what == names(&["right"]));
    for quiet in [
        "ip address add 192.0.2.1/24 dev right",
        "ip link set right master br0",
        "bridge link set dev right cost 7",
        "ip link set right nomaster",
        "ip link set right alias quiet",
        "ip link set right xdpgeneric object DROPPER section .text",
        "ip link set right xdpgeneric off",
    ] {
        let object = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/dropper.o");
        other.output(&quiet.replace("DROPPER", object));
    }
    // The last message is the end of what there is to hear.
    home.output("ip link set left mtu 1400");
    let mut told = Vec::new();
    while !told.contains(&Change { namespace: home.namespace.inode(), what: names(&["left"]) }) {
        assert_eq!(readable_within(&[monitor.as_fd()], Duration::from_secs(1)).unwrap(), [true], "{told:?}");
        told.extend(monitor.drain().unwrap());
    }
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(monitor.followed(), own);
}

/// Following keeps no namespace from ending, nor what it holds.
#[test]
fn root_a_namespace_that_ends_is_told_of_and_ends() {
    let home = Net::new("mow");
    let mut monitor = at_home(&home);
    monitor.follow(&home.namespace).unwrap();
    let other = Namespace::new().unwrap();
    let end = veth::End { namespace: &other, name: "right", mac: None };
    veth::create(home.end("left"), end, Settings::default()).unwrap();
    monitor.follow(&other).unwrap();
    monitor.drain().unwrap();
    let inode = other.inode();
    drop(other);
    // The pair goes with it.
    let mut gone = BTreeSet::new();
    while gone.len() < 2 {
        assert_eq!(readable_within(&[monitor.as_fd()], Duration::from_secs(10)).unwrap(), [true], "{gone:?}");
        for Change { namespace, what } in monitor.drain().unwrap() {
            let expected = if namespace == inode { What::Unfollowed } else { names(&["left"]) };
            assert_eq!(what, expected);
            gone.insert(namespace);
        }
    }
    assert_eq!(monitor.followed(), [home.namespace.inode()].into());
}

/// More than the socket holds: the home is listed anew, the others are let go.
#[test]
fn root_lost_messages_mean_that_anything_may_have_happened() {
    let (home, other) = pair("mol", Settings::default());
    let mut monitor = at_home(&home);
    monitor.follow(&home.namespace).unwrap();
    monitor.follow(&other.namespace).unwrap();
    let batch = home.name.clone() + ".batch";
    let path = std::env::temp_dir().join(&batch);
    let lines: String = (0..20_000).map(|n| format!("link set left mtu {}\n", 1400 + n % 2)).collect();
    std::fs::write(&path, lines).unwrap();
    home.output(&format!("ip -batch {}", path.display()));
    std::fs::remove_file(&path).unwrap();
    let told = monitor.drain().unwrap();
    let whats = |net: &Net| told.iter().filter(|change| change.namespace == net.namespace.inode()).collect::<Vec<_>>();
    assert!(matches!(whats(&home)[..], [Change { what: What::Anything, .. }]), "{told:?}");
    assert!(matches!(whats(&other)[..], [Change { what: What::Unfollowed, .. }]), "{told:?}");
    home.output("ip link set left down mtu 1300");
    await_change(&mut monitor, home.namespace.inode(), |what| *what == names(&["left"]));
    assert!(monitor.follow(&other.namespace).unwrap());
    other.output("ip link set right mtu 1300");
    await_change(&mut monitor, other.namespace.inode(), |what| *what == names(&["right"]));
}

#[test]
fn root_names_of_namespaces_are_told_when_something_is_mounted_there() {
    let mut directory = Names::new().unwrap();
    let net = Net::new("mon1");
    let mut await_name = || {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !directory.changed().contains(&net.name) {
            assert!(Instant::now() < deadline);
            let due = directory.due();
            let told = readable_or_mounted(&[], Some(directory.as_fd()), due).unwrap();
            assert!(told == [true] || due.is_some());
        }
    };
    await_name();
    output(&format!("ip netns delete {}", net.name));
    await_name();
    output(&format!("ip netns add {}", net.name));
    await_name();
    // It leads there by the time that it is told of.
    Namespace::named(&net.name).unwrap();
    netns_directory::delete(&net.name).unwrap();
    await_name();
}

/// Another namespace on the same file, while something else is mounted: no file tells of it.
#[test]
fn root_a_name_that_leads_elsewhere_is_told_of_though_its_file_stays() {
    let (one, other) = (Net::new("mon1"), Net::new("mon2"));
    let mut directory = Names::new().unwrap();
    let path = format!("/run/netns/{}", one.name);
    output(&format!("umount --lazy {path}"));
    output(&format!("mount --bind /run/netns/{} {path}", other.name));
    let third = Net::new("mon3");
    let mut told = BTreeSet::new();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !told.contains(&one.name) || !told.contains(&third.name) {
        assert!(Instant::now() < deadline, "{told:?}");
        readable_or_mounted(&[], Some(directory.as_fd()), directory.due()).unwrap();
        told.extend(directory.changed());
    }
    assert!(!told.contains(&other.name));
}
