//! `via nat` and `via fullnat`: packets are translated on the way there, and back.

use crate::command::{done, tool, unload};
use crate::curl::{all_answer, answering, download, pages};
use crate::network::ip;
use crate::world::{CLIENT, CLIENT6, PORT, SERVICE, SERVICE6, World};

/// The policy routes both families to all servers, which see the client's own addresses.
fn nat_reaches_all(world: &World) {
    world.load(&World::cats("nat", &[world.backends(false), world.backends(true)].concat()));
    all_answer(world, SERVICE, CLIENT);
    all_answer(world, &format!("[{SERVICE6}]"), CLIENT6);
    unload(&world.target());
}

#[test]
fn root_nat_reaches_servers_on_other_interfaces() {
    nat_reaches_all(&World::two_armed());
}

#[test]
fn root_nat_reaches_servers_on_the_interface_where_packets_come_from() {
    nat_reaches_all(&World::one_armed());
}

/// Packets of hosts that are not on this machine arrive with their checksums.
#[test]
fn root_nat_takes_packets_with_their_checksums() {
    let world = World::two_armed();
    let servers = world.servers.iter().map(|(server, _)| (server, "e0"));
    for (net, interface) in servers.chain([(&world.client, "c0")]) {
        tool(&format!("ip netns exec {} ethtool -K {interface} tx off", net.name));
    }
    nat_reaches_all(&world);
}

#[test]
fn root_namespaces_are_backends() {
    let world = World::two_armed();
    let backends = world.servers.iter().map(|(server, _)| format!("{}:{PORT}", server.target("e0")));
    world.load(&World::cats("nat", &backends.collect::<Vec<_>>()));
    all_answer(&world, SERVICE, CLIENT);
    unload(&world.target());
}

#[test]
fn root_a_client_stays_with_one_server_where_its_address_decides() {
    let world = World::two_armed();
    let lines = [world.backends(false), vec!["hash src".to_string()]].concat();
    world.load(&World::cats("nat", &lines));
    assert_eq!(answering(&world).len(), 1);
    unload(&world.target());
}

/// The servers know no way to the client.
#[test]
fn root_fullnat_needs_no_way_back_to_the_client() {
    let world = World::one_armed();
    for (server, _) in &world.servers {
        ip(server, "route del default");
        ip(server, "-6 route del default");
    }
    ip(&world.router, "addr add 10.0.0.100/24 dev r0");
    ip(&world.router, "addr add fd00::100/64 dev r0 nodad");
    let backends = [world.backends(false), world.backends(true)].concat();
    world.load(&World::cats("fullnat from 10.0.0.100, fd00::100", &backends));
    all_answer(&world, SERVICE, "10.0.0.100");
    all_answer(&world, &format!("[{SERVICE6}]"), "fd00::100");
    unload(&world.target());
}

#[test]
fn root_fullnat_reaches_servers_on_other_interfaces() {
    let world = World::two_armed();
    // Nobody has these addresses: what goes there meets the router, which undoes the translation.
    let backends = [world.backends(false), world.backends(true)].concat();
    world.load(&World::cats("fullnat from 10.0.100.1, fd00:100::1", &backends));
    all_answer(&world, SERVICE, "10.0.100.1");
    all_answer(&world, &format!("[{SERVICE6}]"), "fd00:100::1");
    unload(&world.target());
}

/// The address is the pool's, not taken from another backend.
#[test]
fn root_fullnat_keeps_its_address_when_all_backends_are_replaced() {
    let world = World::one_armed();
    ip(&world.router, "addr add 10.0.0.100/24 dev r0");
    world.load(&World::cats("fullnat from 10.0.0.100", &[world.backend(0)]));
    let on = world.target();
    done(&["pool", "remove", "cats", &world.backend(0), "--on", &on]);
    done(&["pool", "add", "cats", &world.backend(1), "--on", &on]);
    let answers = pages(&world.client, SERVICE, 3);
    assert_eq!(answers, [("two saw 10.0.0.100".to_string(), 3)].into());
    unload(&on);
}

#[test]
fn root_a_large_download_arrives_whole() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &[world.backends(false), world.backends(true)].concat()));
    for host in [SERVICE, &format!("[{SERVICE6}]")] {
        download(&world.client, host);
    }
    unload(&world.target());
}
