//! Containers of Docker as backends, of a policy on an interface of the host.

use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use xdpilot_kernel::configure;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::veth::{self, End, Settings};

use crate::command::{Ran, tool};
use crate::curl::pages;
use crate::mistakes::mend;
use crate::net::{Net, unique};
use crate::network::ip;
use crate::support::docker;
use crate::support::engine::{TestContainer, TestEngine};
use crate::support::folder::Folder;
use crate::world::{SERVICE, World};

/// A client in a namespace of its own, and the host's end of its wire.
fn client() -> (Net, String) {
    let (client, name) = (Net::new(), unique());
    let host = Namespace::current().unwrap();
    let near = End { namespace: &host, name: &name, mac: None };
    let far = End { namespace: &client.namespace, name: "c0", mac: None };
    let (near, _) = veth::create(near, far, Settings::default()).unwrap();
    // A network that tests of other processes do not use at the same time.
    let pid = std::process::id();
    let network = format!("100.{}.{}", 64 + pid / 256 % 64, pid % 256);
    configure::set_up(&near).unwrap();
    configure::add_address(&near, format!("{network}.1").parse().unwrap(), 24).unwrap();
    ip(&client, &format!("addr add {network}.2/24 dev c0"));
    ip(&client, "link set c0 up");
    ip(&client, &format!("route add default via {network}.1"));
    (client, name)
}

/// A container whose page is its own id; that is returned too.
fn container(engine: &Arc<TestEngine>) -> (TestContainer, String) {
    let container = engine.run_container();
    let script = "/bin/busybox hostname >/www/index.html";
    engine.client(&["exec", &container.name, "/bin/busybox", "sh", "-c", script]);
    let page = container.id[..12].to_string();
    (container, page)
}

/// Runs the command; where the host does not forward on the interfaces of the test, it is told so, and then does.
fn load(by: &TestContainer, policy: &str, on: &str) -> Ran {
    let load = || Ran::from(by.xdpilot(&["load", policy, "--on", on]));
    let ran = load();
    if ran.err.contains("the kernel does not forward") {
        tool(mend(&ran.err));
        return load();
    }
    ran
}

#[test]
fn root_containers_are_backends_behind_one_address() {
    let engine = docker::shared();
    let ((client, on), folder) = (client(), Folder::new());
    let ((one, first), (two, second)) = (container(&engine), container(&engine));
    let backends = [&one, &two].map(|container| format!("{}:80", container.target()));
    let policy = folder.file("cats.xdp", World::cats("nat", &backends));
    let ran = load(&one, &policy, &on);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let answering = || pages(&client, SERVICE, 40).into_keys().collect::<Vec<_>>();
    let mut both = [first.clone(), second];
    both.sort();
    assert_eq!(answering(), both);

    let ran = Ran::from(one.xdpilot(&["pool", "drain", "cats", &backends[1], "--on", &on]));
    assert!(ran.out.starts_with(&format!("{on}: {} of cats drains: ", backends[1])), "{ran:?}");
    assert_eq!(answering(), [first]);
    let shown = one.xdpilot(&["pool", "show", "cats", "--on", &on, "--json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    for (backend, container) in shown["pools"][0]["backends"].as_array().unwrap().iter().zip([&one, &two]) {
        assert_eq!(
            (&backend["name"], &backend["address"]),
            (&format!("{}:80", container.target()).into(), &container.address().into())
        );
        assert!(backend["connections"].as_u64().unwrap() > 0, "{shown}");
    }
    let ran = Ran::from(one.xdpilot(&["unload", "--on", &on]));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for container in [&one, &two] {
        let inside = container.status(&[]);
        assert!(inside.iter().all(|seen| seen["programs"] == Value::Array(Vec::new())), "{inside:?}");
    }
}

#[test]
fn root_containers_that_cannot_be_backends_are_told() {
    let engine = docker::shared();
    let ((_client, on), folder) = (client(), Folder::new());
    let there = engine.run_container();
    let name = format!("{}-none", engine.names.id);
    let words = ["run", "-d", "--name", &name, "--label", &engine.names.id, "--network", "none"];
    let command = ["/bin/busybox", "sleep", "1000"];
    let id = engine.client(&[&words[..], &[engine.names.id.as_str()], &command[..]].concat());
    let bare = TestContainer { engine: Arc::clone(&engine), name, id };
    let refused = |target: &str| {
        let policy = folder.file("cats.xdp", World::cats("nat", &[format!("{target}:80")]));
        let ran = load(&there, &policy, &on);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        ran.err
    };
    let error = refused(&bare.target());
    assert!(error.contains("pool cats") && error.contains("it has only the loopback interface"), "{error}");
    let error = refused(&format!("{}x", there.target()));
    assert!(error.contains("pool cats") && error.contains(&there.name), "{error}");
    assert!(!Command::new("ip").args(["link", "show", &on]).output().unwrap().stdout.windows(3).any(|at| at == b"xdp"));
}
