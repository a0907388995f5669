//! `via ipip` and `via gue`: the servers take packets out, and answer the client themselves.

use crate::command::{done, unload};
use crate::curl::all_answer;
use crate::http::Server;
use crate::network::{ip, switch};
use crate::tunnel::Tunnel;
use crate::world::{CLIENT, CLIENT6, NAMES, SERVICE, SERVICE6, World};

/// Servers on other interfaces than the client that have the service's addresses and port.
fn serving() -> (World, Vec<Server>) {
    let world = World::two_armed();
    let serve = |(name, (server, _)): (&str, &(_, _))| {
        switch(server, "ipv6/conf/lo/disable_ipv6", "0");
        ip(server, &format!("addr add {SERVICE}/32 dev lo"));
        ip(server, &format!("addr add {SERVICE6}/128 dev lo nodad"));
        Server::start(server, 80, name)
    };
    let servers = NAMES.into_iter().zip(&world.servers).map(serve).collect();
    (world, servers)
}

/// The policy routes both families to all servers, in IPv4.
fn all_are_reached(world: &World, via: &str) {
    let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[0].clone()).collect();
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
        all_are_reached(&world, via);
    }
}

#[test]
fn root_decap_takes_packets_out_of_tunnels() {
    let (world, _servers) = serving();
    let policy = world.policy("decap when ip proto 4 or ip proto 41 or udp dst port 6080\ndefault pass\n");
    let targets: Vec<String> = world.servers.iter().map(|(server, _)| server.target("e0")).collect();
    for on in &targets {
        done(&["load", &policy, "--on", on]);
    }
    for via in ["ipip", "gue"] {
        all_are_reached(&world, via);
    }
    for (on, (server, _)) in targets.iter().zip(&world.servers) {
        assert!(server.xdp("e0").is_some(), "unloading the router took another's program off");
        unload(on);
    }
}
