//! Every way to name a place leads to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use xdpilot_kernel::configure;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::veth::{self, End, Settings};

use crate::command::{Ran, XDPILOT, done, ends, id, json, load, unload};
use crate::net::{FAR, Inhabitant, LOST, NEAR, Net, PATIENCE, Pair, address, arrives, unique};
use crate::programs::example;

#[test]
fn root_an_interface_of_the_host_is_filtered() {
    let (net, name) = (Net::new(), unique());
    let host = Namespace::current().unwrap();
    let end = End { namespace: &host, name: &name, mac: None };
    let inner = End { namespace: &net.namespace, name: "eth0", mac: None };
    let (outer, inner) = veth::create(end, inner, Settings::default()).unwrap();
    // The addresses are of the network for benchmarks (RFC 2544).
    let own = format!("198.19.{}.", std::process::id() % 256);
    let [first, second] = ["1", "2"].map(|last| format!("{own}{last}"));
    configure::set_up(&outer).unwrap();
    configure::add_address(&outer, first.parse().unwrap(), 24).unwrap();
    configure::add_neighbour(&outer, second.parse().unwrap(), inner.mac.unwrap()).unwrap();
    address(&net, "eth0", &second, &first, &outer);
    let receiver = std::net::UdpSocket::bind((first.as_str(), 0)).unwrap();
    let comes = |patience| {
        receiver.set_read_timeout(Some(patience)).unwrap();
        crate::net::socket(&net, "0.0.0.0").send_to(b"hello", receiver.local_addr().unwrap()).unwrap();
        receiver.recv(&mut [0; 16]).is_ok()
    };

    assert!(comes(PATIENCE));
    let answer = load(&example("dropper"), &name, &[]);
    assert_eq!((&answer["target"], &answer["interface"]), (&name.clone().into(), &name.clone().into()));
    assert!(!comes(LOST));
    let said = unload(&name);
    assert!(said.out.starts_with(&format!("{name}: main (id {}) taken off", id(&answer))), "{said:?}");
    assert!(comes(PATIENCE));
}

#[test]
fn root_several_targets_are_filtered_each_once() {
    let (one, two) = (Pair::new(), Pair::new());
    let (first, second) = (one.target(), two.target());
    let object = example("dropper");
    let words = ["load", object.to_str().unwrap(), "--on", &first, "--on", &second, "--on", &first];
    let places = json(&words);
    assert_eq!(places.len(), 2, "{places:?}");
    for (pair, place) in [&one, &two].into_iter().zip(&places) {
        assert_eq!(pair.xdp(), Some((1, id(place))));
        assert_eq!(place["target"], pair.target());
        assert_eq!((&place["interface"], &place["program"]), (&"eth0".into(), &"main".into()));
        assert_eq!((&place["mode"], &place["counted"]), (&"native".into(), &true.into()));
        assert!(place["replaced"].is_null());
        assert!(fs::exists(place["link"].as_str().unwrap()).unwrap());
        assert_eq!(place["tag"].as_str().unwrap().len(), 16);
        pair.assert_dropped();
    }
    let gone = json(&["unload", "--on", &first, "--on", &second, "--on", &first]);
    assert_eq!(gone.len(), 2);
    assert_eq!(gone[0]["removed"][0]["id"], places[0]["id"]);
    for pair in [&one, &two] {
        assert_eq!(pair.xdp(), None);
        pair.assert_flows();
    }
}

#[test]
fn root_a_process_names_its_namespace() {
    let pair = Pair::new();
    let inhabitant = Inhabitant::of(&pair.far);
    for target in [format!("pid:{}", inhabitant.pid()), format!("pid:{}/eth0", inhabitant.pid())] {
        load(&example("dropper"), &target, &[]);
        pair.assert_dropped();
        unload(&target);
        pair.assert_flows();
    }
}

#[test]
fn root_all_takes_every_interface_but_the_loopback() {
    let pair = Pair::new();
    pair.far.run(|| configure::create_bridge("br0")).unwrap();
    // Inside a namespace `all` is what is there.
    let inside = format!("--net=/run/netns/{}", pair.far.name);
    let run = |words: &[&str]| -> Ran {
        Command::new("nsenter").args([&inside, XDPILOT]).args(words).output().unwrap().into()
    };
    let ran = run(&["load", example("dropper").to_str().unwrap(), "--on", "all"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("eth0: main") && ran.out.contains("br0: main") && !ran.out.contains("lo:"), "{ran:?}");
    pair.assert_dropped();
    assert_eq!(run(&["unload", "--on", "all"]).code, Some(0));
    assert_eq!((pair.xdp(), pair.far.xdp("br0")), (None, None));
}

#[test]
fn root_traffic_from_a_namespace_is_met_at_the_other_end() {
    let pair = Pair::new();
    let target = pair.target();
    let object = example("udp");
    done(&["load", object.to_str().unwrap(), "--on", &target, "--traffic", "from"]);
    assert!(pair.near.xdp("near0").is_some() && pair.xdp().is_none());
    assert!(!arrives(&pair.far, &pair.near, NEAR, LOST));
    assert!(arrives(&pair.near, &pair.far, FAR, PATIENCE));
    let twice = ends(1, &["load", object.to_str().unwrap(), "--on", &target, "--traffic", "from"]);
    assert!(twice.err.contains(&format!("xdpilot unload --on {target} --traffic from")), "{}", twice.err);
    done(&["unload", "--on", &target, "--traffic", "from"]);
    assert!(arrives(&pair.far, &pair.near, NEAR, PATIENCE));
}

#[test]
fn root_mistakes_are_usage_errors_that_name_what_is_near() {
    let pair = Pair::new();
    let object = example("dropper");
    let object = object.to_str().unwrap();
    let wrong = |target: &str, near: &str| {
        let ran = ends(2, &["load", object, "--on", target]);
        assert!(ran.err.contains(near) && ran.out.is_empty(), "{ran:?}");
    };
    wrong(&pair.far.target("eht0"), "eth0");
    wrong(&format!("netns:{}x/eth0", pair.far.name), &pair.far.name);
    wrong("lp", "lo");
    wrong("pid:4194304", "no such process");
    ends(2, &["load", "/nonexistent.o", "--on", &pair.target()]);
    ends(2, &["load", object, "--on", &pair.target(), "--program", "absent"]);
    ends(2, &["load", object]);
    let ran = ends(2, &["load", object, "--on", "lo", "--traffic", "from"]);
    assert!(ran.err.contains("leave --traffic out"), "{ran:?}");
    assert_eq!(pair.xdp(), None);
}

#[test]
fn root_who_may_not_is_told_so() {
    let pair = Pair::new();
    let directory = tempfile::Builder::new().prefix("xp").tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let [command, object] = ["xdpilot", "dropper.o"].map(|name| directory.path().join(name));
    fs::copy(XDPILOT, &command).unwrap();
    fs::copy(example("dropper"), &object).unwrap();
    let nobody = |words: &[&str]| -> Ran {
        let mut run = Command::new("setpriv");
        run.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]).arg(&command);
        run.args(words).output().unwrap().into()
    };
    for target in ["lo", &pair.target()] {
        let ran = nobody(&["load", object.to_str().unwrap(), "--on", target]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.err.contains("cause: ") && ran.out.is_empty(), "{ran:?}");
    }
    load(&object, &pair.target(), &[]);
    let ran = nobody(&["unload", "--on", &pair.target()]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    pair.assert_dropped();
    unload(&pair.target());
}

/// `ip netns exec` gives its command a /sys of its own, in which no BPF file system is mounted; a pin in one that it
/// mounted there would be gone with it.
#[test]
fn root_a_program_loaded_by_ip_netns_exec_stays() {
    let pair = Pair::new();
    let exec = |words: &[&str]| -> Ran {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", &pair.far.name, XDPILOT]).args(words).output().unwrap().into()
    };
    let object = example("dropper");
    let ran = exec(&["load", object.to_str().unwrap(), "--on", "eth0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    pair.assert_dropped();
    let ran = done(&["load", object.to_str().unwrap(), "--on", &pair.target(), "--replace"]);
    assert!(ran.err.is_empty(), "a replacement by the link has nothing to note: {ran:?}");
    let ran = exec(&["unload", "--on", "eth0"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.err.contains("held by"), "{ran:?}");
    pair.assert_flows();
}
