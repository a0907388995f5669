//! Unloading leaves nothing: no program, no pin, no neighbour that is kept known.

use std::collections::BTreeSet;

use crate::command::{done, unload};
use crate::curl::{all_answer, answering};
use crate::net::Net;
use crate::network::ip;
use crate::world::{CLIENT, NAMES, SERVICE, World};

/// All hosts with their interfaces.
fn interfaces(world: &World) -> Vec<(&Net, &str)> {
    let near = ["r0", "t1", "t2", "t3"].map(|name| (&world.router, name));
    let far = world.servers.iter().map(|(server, _)| (server, "e0"));
    near.into_iter().chain(far).chain([(&world.client, "c0")]).collect()
}

/// The interfaces that have a program.
fn programs(world: &World) -> Vec<&str> {
    interfaces(world).into_iter().filter(|(net, name)| net.xdp(name).is_some()).map(|(_, name)| name).collect()
}

/// What is pinned for these hosts: links by their namespaces, and maps by the router's program.
fn pins(world: &World, program: u32) -> BTreeSet<String> {
    let links = interfaces(world).into_iter().map(|(net, _)| format!("link-{}-", net.namespace.inode()));
    let ours: Vec<String> = links.chain([format!("maps-{program}")]).collect();
    let names = std::fs::read_dir("/sys/fs/bpf/xdpilot").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| ours.iter().any(|our| name.starts_with(our))).collect()
}

/// How many neighbours the router's kernel keeps known.
fn kept_known(world: &World) -> usize {
    ip(&world.router, "neigh show").matches("managed").count()
}

#[test]
fn root_unload_leaves_nothing() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    let (_, program) = world.router.xdp("r0").unwrap();
    all_answer(&world, SERVICE, CLIENT);
    assert_eq!(programs(&world), ["r0", "t1", "t2", "t3", "e0", "e0", "e0", "c0"]);
    assert_eq!((pins(&world, program).len(), kept_known(&world)), (9, 3));
    // Backends that came and went, and another policy, change nothing about that.
    done(&["pool", "remove", "cats", &world.backend(0), "--on", &world.target()]);
    done(&["load", &world.policy(&World::cats("nat", &world.backends(false))), "--on", &world.target(), "--replace"]);
    assert_eq!(answering(&world), NAMES);
    let (_, replaced) = world.router.xdp("r0").unwrap();
    let ran = unload(&world.target());
    assert!(ran.err.contains("took xdpilot_return off where replies arrived"), "{ran:?}");
    assert!(ran.err.contains("took xdpilot_pass off at the backends"), "{ran:?}");
    assert_eq!(programs(&world), [""; 0]);
    assert_eq!((pins(&world, program), pins(&world, replaced)), Default::default());
    assert_eq!(kept_known(&world), 0, "{}", ip(&world.router, "neigh show"));
}

#[test]
fn root_backends_that_are_gone_are_not_kept_known() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    let on = world.target();
    done(&["pool", "remove", "cats", &world.backend(0), "--on", &on]);
    assert_eq!(kept_known(&world), 2);
    // A policy with the same pools goes on with their maps, one with others does not.
    let replace = |backends: &[String], name: &str| {
        let text = World::cats("nat", backends).replace("cats", name);
        done(&["load", &world.policy(&text), "--on", &on, "--replace"]);
        kept_known(&world)
    };
    assert_eq!(replace(&world.backends(false)[..1], "cats"), 1);
    assert_eq!(replace(&world.backends(false)[1..], "dogs"), 2);
    unload(&on);
    assert_eq!(kept_known(&world), 0, "{}", ip(&world.router, "neigh show"));
}

/// An Ethernet address that somebody stated is used, and stays stated.
#[test]
fn root_neighbours_that_were_stated_stay() {
    let world = World::two_armed();
    let (server, [address, _]) = &world.servers[0];
    let mac = server.interface("e0").mac.unwrap().map(|byte| format!("{byte:02x}")).join(":");
    ip(&world.router, &format!("neigh replace {address} lladdr {mac} dev t1 nud permanent"));
    let stated = || ip(&world.router, "neigh show dev t1").contains(&format!("{address} lladdr {mac} PERMANENT"));
    assert!(stated());
    world.load(&World::cats("nat", &world.backends(false)));
    assert_eq!((stated(), kept_known(&world)), (true, 2));
    assert_eq!(answering(&world), NAMES);
    done(&["pool", "remove", "cats", &world.backend(0), "--on", &world.target()]);
    assert!(stated());
    done(&["pool", "add", "cats", &world.backend(0), "--on", &world.target()]);
    unload(&world.target());
    assert_eq!((stated(), kept_known(&world)), (true, 0));
}
