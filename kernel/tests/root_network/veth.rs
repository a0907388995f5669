//! Pairs across namespaces, and finding the other end.

use xdpilot_core::error::Kind;
use xdpilot_kernel::{
    interface::Interface,
    namespace::Namespace,
    netns_directory,
    veth::{self, End, Settings},
};

use crate::{
    common::{Net, pair},
    namespaces::Inhabitant,
};

#[test]
fn root_pair_is_as_asked_for() {
    let (left, right) = (Net::new("vl"), Net::new("vr"));
    let mac = [0x02, 0, 0, 0, 0xAB, 1];
    let settings = Settings { mtu: Some(3000), queues: Some(3) };
    let (a, b) = veth::create(End { mac: Some(mac), ..left.end("left") }, right.end("right"), settings).unwrap();
    assert_eq!((a.mac, a.mtu, a.rx_queues, a.tx_queues, a.up), (Some(mac), 3000, 3, 3, false));
    assert_eq!((b.mtu, b.rx_queues, b.kind.as_deref()), (3000, 3, Some("veth")));
    let seen = left.output("ip -d -o link show left");
    for word in ["mtu 3000", "02:00:00:00:ab:01", "numtxqueues 3", "numrxqueues 3", "veth"] {
        assert!(seen.contains(word), "{word}: {seen}");
    }
    assert!(right.output("ip -d -o link show right").contains("mtu 3000"));
    let taken = veth::create(left.end("left"), right.end("other"), settings).unwrap_err();
    assert_eq!(taken.errno_value(), Some(nix::libc::EEXIST), "{taken}");
    assert_eq!(right.namespace.run(|| Interface::by_name("other")).unwrap_err().kind(), Kind::Usage);
}

#[test]
fn root_each_end_finds_the_other() {
    let (left, right) = pair("p", Settings::default());
    for (here, name, there, other) in [(&left, "left", &right, "right"), (&right, "right", &left, "left")] {
        let (namespace, found) = here.namespace.run(|| veth::peer(&Interface::by_name(name)?)).unwrap();
        assert_eq!(namespace, there.namespace);
        assert_eq!(found, there.namespace.run(|| Interface::by_name(other)).unwrap());
    }
}

#[test]
fn root_ends_in_one_namespace_find_each_other() {
    let net = Net::new("one");
    veth::create(net.end("a"), net.end("b"), Settings::default()).unwrap();
    let (namespace, found) = net.namespace.run(|| veth::peer(&Interface::by_name("a")?)).unwrap();
    assert_eq!((namespace, found.name.as_str()), (net.namespace.run(Namespace::current).unwrap(), "b"));
    let error = net.namespace.run(|| veth::peer(&Interface::by_name("lo")?)).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.cause_text().unwrap().contains("lo is no veth"), "{error}");
}

#[test]
fn root_end_in_a_nameless_container_is_found_by_its_process() {
    let net = Net::new("cont");
    let container = Inhabitant::start("unshare --net");
    let namespace = Namespace::of_pid(container.pid()).unwrap();
    let inner = End { namespace: &namespace, name: "eth0", mac: None };
    veth::create(net.end("outer"), inner, Settings::default()).unwrap();
    let (found, end) = net.namespace.run(|| veth::peer(&Interface::by_name("outer")?)).unwrap();
    assert_eq!((found.inode(), end.name.as_str()), (namespace.inode(), "eth0"));
}

#[test]
fn root_end_that_nothing_leads_to_is_said_so() {
    let (left, right) = pair("hid", Settings::default());
    // The handle keeps the namespace alive without a name or a process.
    netns_directory::delete(&right.name).unwrap();
    let error = left.namespace.run(|| veth::peer(&Interface::by_name("left")?)).unwrap_err();
    assert!(error.cause_text().unwrap().contains("no visible process"), "{error}");
}
