//! `via ipip` and `via gue`: the servers take packets out, and answer the client themselves.

use crate::command::{done, unload};
use crate::curl::{all_answer, upload};
use crate::http::{Server, big};
use crate::network::{ip, switch};
use crate::support::folder::Folder;
use crate::tunnel::Tunnel;
use crate::world::{CLIENT, CLIENT6, NAMES, SERVICE, SERVICE6, World};

/// Servers on other interfaces than the client that have the service's addresses and port.
fn serving() -> (World, Vec<Server>) {
    let world = World::two_armed();
    let servers = (0..NAMES.len()).map(|number| serve_service(&world, number)).collect();
    (world, servers)
}

/// A server gets the service's addresses, and serves there.
pub(crate) fn serve_service(world: &World, number: usize) -> Server {
    let (server, _) = &world.servers[number];
    switch(server, "ipv6/conf/lo/disable_ipv6", "0");
    ip(server, &format!("addr add {SERVICE}/32 dev lo"));
    ip(server, &format!("addr add {SERVICE6}/128 dev lo nodad"));
    Server::start(server, 80, NAMES[number])
}

/// The policy routes both families to all servers, in IPv4 or IPv6.
fn all_are_reached(world: &World, via: &str, v6: bool) {
    let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[usize::from(v6)].clone()).collect();
    world.load(&World::cats(via, &backends));
    all_answer(world, SERVICE, CLIENT);
    all_answer(world, &format!("[{SERVICE6}]"), CLIENT6);
    unload(&world.target());
}

#[test]
fn root_servers_take_packets_out_of_tunnels() {
    let (world, _servers) = serving();
    let _tunnels: Vec<Tunnel> = world.servers.iter().map(|(server, _)| Tunnel::start(server)).collect();
    for via in ["ipip", "gue"] {
        all_are_reached(&world, via, false);
    }
}

/// What takes packets out of tunnels, with the service's addresses behind it.
pub(crate) fn decapsulating() -> (World, Vec<Server>) {
    let (world, servers) = serving();
    let policy = world.policy("decap when proto 4 or proto 41 or udp dst port 6080\ndefault pass\n");
    for (server, _) in &world.servers {
        done(&["load", &policy, "--on", &server.target("e0")]);
    }
    (world, servers)
}

#[test]
fn root_decap_takes_packets_out_of_tunnels() {
    let (world, _servers) = decapsulating();
    for (via, v6) in [("ipip", false), ("gue", false), ("ipip", true), ("gue", true)] {
        all_are_reached(&world, via, v6);
    }
    for (server, _) in &world.servers {
        assert!(server.xdp("e0").is_some(), "unloading the router took another's program off");
        unload(&server.target("e0"));
    }
}

/// The client's packets are as long as its link carries, and too long for the way with their outer headers: it is told.
#[test]
fn root_clients_learn_how_long_packets_may_be_in_tunnels() {
    let ((world, _servers), folder) = (decapsulating(), Folder::new());
    let file = folder.path("big");
    std::fs::write(&file, &big()[..5_000_000]).unwrap();
    for (via, v6) in [("ipip", false), ("gue", true)] {
        let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[usize::from(v6)].clone()).collect();
        world.load(&World::cats(via, &backends));
        for (host, client) in [(SERVICE, CLIENT), (&format!("[{SERVICE6}]"), CLIENT6)] {
            let page = upload(&world.client, &format!("http://{host}/"), &file);
            assert!(page.ends_with(&format!(" saw {client}\n")), "{via} {host}: {page}");
        }
        unload(&world.target());
    }
}
