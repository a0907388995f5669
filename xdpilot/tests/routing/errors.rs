//! ICMP errors about translated connections reach whom they are for, and mean something to him.

use std::io::ErrorKind;
use std::net::UdpSocket;

use crate::command::unload;
use crate::curl::download;
use crate::net::{Net, PATIENCE};
use crate::network::{ip, switch, wire};
use crate::world::{SERVICE, SERVICE6, World};

/// What a link carries that is narrower than all others; IPv6 asks for it at least.
const NARROW: u32 = 1280;
/// The addresses of the host behind it.
const BEHIND: &str = "198.51.100.2";
const BEHIND6: &str = "2001:db8:51::2";

/// The client becomes a router; from the host behind it no answer of full size comes through.
fn behind_a_narrow_link(world: &World) -> Net {
    let (client, behind) = (&world.client, Net::new());
    let addresses = |v4: &str, v6: &str| [format!("{v4}/24"), format!("{v6}/64")];
    let (own, near) = (addresses(BEHIND, BEHIND6), addresses("198.51.100.1", "2001:db8:51::1"));
    wire((&behind, "b0", &own), (client, "n0", &near));
    ip(client, &format!("link set n0 mtu {NARROW}"));
    switch(client, "ipv4/ip_forward", "1");
    switch(client, "ipv6/conf/all/forwarding", "1");
    ip(&behind, "route add default via 198.51.100.1");
    ip(&behind, "-6 route add default via 2001:db8:51::1");
    ip(&world.router, "route add 198.51.100.0/24 via 192.0.2.1");
    ip(&world.router, "-6 route add 2001:db8:51::/64 via 2001:db8:1::1");
    behind
}

/// Which path MTU a server has learnt towards a client, by its kernel.
fn learnt(world: &World, client: &str) -> bool {
    let family = if client.contains(':') { "-6" } else { "-4" };
    let routes = world.servers.iter().map(|(server, _)| ip(server, &format!("{family} route get {client}")));
    routes.into_iter().any(|route| route.contains(&format!("mtu {NARROW}")))
}

#[test]
fn root_servers_learn_how_narrow_the_way_to_a_client_is() {
    let world = World::two_armed();
    let behind = behind_a_narrow_link(&world);
    world.load(&World::cats("nat", &[world.backends(false), world.backends(true)].concat()));
    for (host, client) in [(SERVICE, BEHIND), (&format!("[{SERVICE6}]"), BEHIND6)] {
        download(&behind, host);
        assert!(learnt(&world, client), "no server knows the path MTU to {client}");
    }
    unload(&world.target());
}

/// All links carry no more than 1,280 bytes.
#[test]
fn root_narrow_links_carry_all() {
    let world = World::two_armed();
    for (net, link) in [(&world.client, "c0"), (&world.router, "r0")] {
        ip(net, &format!("link set {link} mtu {NARROW}"));
    }
    for (number, (server, _)) in world.servers.iter().enumerate() {
        ip(server, &format!("link set e0 mtu {NARROW}"));
        ip(&world.router, &format!("link set t{} mtu {NARROW}", number + 1));
    }
    world.load(&World::cats("nat", &[world.backends(false), world.backends(true)].concat()));
    for host in [SERVICE, &format!("[{SERVICE6}]")] {
        download(&world.client, host);
    }
    unload(&world.target());
}

/// A datagram to a port at which no server listens: the client's kernel takes the answer for one about its socket.
#[test]
fn root_clients_are_told_that_a_port_is_closed() {
    let world = World::two_armed();
    let backends = [world.backends(false), world.backends(true)].concat();
    let text = World::cats("nat", &backends).replace("tcp dst port", "udp dst port");
    world.load(&text);
    for (bound, service) in [("0.0.0.0:0", format!("{SERVICE}:80")), ("[::]:0", format!("[{SERVICE6}]:80"))] {
        let socket = world.client.run(|| UdpSocket::bind(bound).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(&service).unwrap();
        socket.send(b"anybody?").unwrap();
        let error = socket.recv(&mut [0; 16]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{service}: {error}");
    }
    unload(&world.target());
}
