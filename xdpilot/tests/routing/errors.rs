//! ICMP errors about translated connections reach whom they are for, and mean something to him.

use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Instant;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, sendto, socket};
use xdpilot_core::eval::checksum;

use crate::command::unload;
use crate::curl::download;
use crate::net::{Net, PATIENCE};
use crate::network::{ip, switch, wire};
use crate::world::{CLIENT, CLIENT6, PORT, SERVICE, SERVICE6, World};

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

/// The client's port, of which an error is told.
const ASKING: u16 = 4000;

/// What the client says of a datagram of the service's port 80: that it is too long for a narrow link. There are four
/// NOPs (RFC 791) or padded destination options (RFC 8200) in the headers of both.
fn too_long(v6: bool) -> Vec<u8> {
    let octets = |address: &str| match address.parse().unwrap() {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    };
    let (client, service) = if v6 { (octets(CLIENT6), octets(SERVICE6)) } else { (octets(CLIENT), octets(SERVICE)) };
    let header = |addresses: [&[u8]; 2], protocol: u8, length: usize| {
        let [high, low] = if v6 { (length + 8) as u16 } else { (length + 24) as u16 }.to_be_bytes();
        let addresses = addresses.concat();
        if v6 {
            let options = [protocol, 0, 1, 4, 0, 0, 0, 0];
            [&[0x60, 0, 0, 0, high, low, 60, 64], &addresses[..], &options].concat()
        } else {
            let mut header =
                [&[0x46, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0], &addresses[..], &[1; 4]].concat();
            let sum = checksum::of(&[&header]).to_be_bytes();
            header[10..12].copy_from_slice(&sum);
            header
        }
    };
    let [high, low] = ASKING.to_be_bytes();
    let datagram = [header([&service, &client], 17, 1400), vec![0, 80, high, low, 5, 0x78, 0, 0]].concat();
    let (kind, code, protocol) = if v6 { (2, 0, 58) } else { (3, 4, 1) };
    let mut message = [&[kind, code, 0, 0], &NARROW.to_be_bytes()[..], &datagram].concat();
    let pseudo = [&client[..], &service, &(message.len() as u32).to_be_bytes(), &[0, 0, 0, protocol]].concat();
    let sum = checksum::of(&[if v6 { &pseudo } else { &[] }, &message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    [header([&client, &service], protocol, message.len()), message].concat()
}

/// Sends an IP packet as it is to the service.
fn send(world: &World, packet: &[u8], v6: bool) {
    let family = if v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let to: SockaddrStorage = if v6 {
        SocketAddrV6::new(SERVICE6.parse().unwrap(), 0, 0, 0).into()
    } else {
        SocketAddrV4::new(SERVICE.parse().unwrap(), 0).into()
    };
    world.client.run(|| {
        let raw = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::Raw)).unwrap();
        sendto(raw.as_raw_fd(), packet, &to, MsgFlags::empty()).unwrap();
    });
}

/// Routers put options of the packet into the error about it.
#[test]
fn root_errors_reach_servers_behind_options_and_extension_headers() {
    let world = World::two_armed();
    let backends = [world.backends(false), world.backends(true)].concat();
    world.load(&World::cats("nat", &backends).replace("tcp dst port", "udp dst port"));
    let serving: Vec<UdpSocket> = world
        .servers
        .iter()
        .map(|(server, _)| server.run(|| UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT)).unwrap()))
        .collect();
    for (v6, client, service) in [(false, CLIENT, SERVICE), (true, CLIENT6, SERVICE6)] {
        let host = |address: &str, port| SocketAddr::new(address.parse().unwrap(), port);
        let asking = world.client.run(|| UdpSocket::bind(host(client, ASKING)).unwrap());
        asking.send_to(b"meow", host(service, 80)).unwrap();
        assert!(!learnt(&world, client), "{client}");
        send(&world, &too_long(v6), v6);
        let deadline = Instant::now() + PATIENCE;
        while !learnt(&world, client) {
            assert!(Instant::now() < deadline, "no server knows the path MTU to {client}");
        }
    }
    unload(&world.target());
    drop(serving);
}
