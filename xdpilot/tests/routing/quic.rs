//! `hash quic`: packets go to the server that their connection id names, wherever the client is by now.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::command::{done, ends, unload};
use crate::direct::answers_directly;
use crate::keeper::Keeper;
use crate::net::{Net, PATIENCE};
use crate::network::ip;
use crate::tunnel::Tunnel;
use crate::world::{CLIENT, NAMES, PORT, SERVICE, World};

/// Where the service's clients send to.
const QUIC: u16 = 443;
/// Where servers listen that need not have the service's address.
const ANY: (&str, u16) = ("0.0.0.0", PORT);
/// The client's other address.
const ELSEWHERE: &str = "192.0.2.2";
/// So many connections do not all begin at one of three servers by chance.
const ENOUGH: usize = 40;

/// Packets of a client, of which a router may look at the first bytes (RFC 9000, sections 17.2 and 17.3).
const INITIAL: [u8; 16] = [0xc3, 0, 0, 0, 1, 8, 0xbf, 2, 3, 4, 5, 6, 7, 8, 0, 0];
const SHORT: u8 = 0x43;

/// A server that says who it is, and in its answer to an Initial to which connection id clients are to send: its number
/// is in there (24 bits). It ends with this value.
struct Server {
    socket: Arc<UdpSocket>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(net: &Net, at: (&str, u16), name: &'static str, number: u8) -> Server {
        let socket = Arc::new(net.run(|| UdpSocket::bind(at).unwrap()));
        let serving = Arc::clone(&socket);
        let thread = thread::spawn(move || {
            let mut packet = [0; 2048];
            loop {
                let (length, from) = serving.recv_from(&mut packet).unwrap();
                if length == 0 {
                    return;
                }
                let answer = [&[0x80, 0, 0, number, 0xa, 0xb, 0xc, 0xd][..], name.as_bytes()].concat();
                serving.send_to(&answer, from).unwrap();
            }
        });
        Server { socket, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.socket.send_to(&[], self.socket.local_addr().unwrap()).unwrap();
        _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Servers with numbers from 1 on.
fn serving(world: &World, at: (&str, u16)) -> Vec<Server> {
    let all = world.servers.iter().zip(NAMES).zip(1..);
    all.map(|(((net, _), name), number)| Server::start(net, at, name, number)).collect()
}

/// Sends a packet from another port of an address; the connection id and the server's name in the answer.
#[track_caller]
fn ask(world: &World, from: &str, packet: &[u8]) -> ([u8; 8], String) {
    let service = SocketAddr::new(SERVICE.parse().unwrap(), QUIC);
    let socket = world.client.run(|| UdpSocket::bind((from, 0)).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(packet, service).unwrap();
    let mut answer = [0; 2048];
    let (length, by) = socket.recv_from(&mut answer).expect("no answer");
    assert_eq!(by, service);
    let (id, name) = answer[..length].split_first_chunk().unwrap();
    (*id, String::from_utf8(name.to_vec()).unwrap())
}

/// A new connection: the id that its server chose, and that server.
#[track_caller]
fn connect(world: &World) -> ([u8; 8], String) {
    ask(world, CLIENT, &INITIAL)
}

/// The servers that get a connection's packets from so many other ports of each of the client's addresses.
#[track_caller]
fn reached(world: &World, id: [u8; 8], ports: usize) -> BTreeSet<String> {
    let packet = [&[SHORT][..], &id, &[7; 20]].concat();
    let from = [CLIENT, ELSEWHERE].into_iter().cycle().take(2 * ports);
    from.map(|from| ask(world, from, &packet).1).collect()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(ToString::to_string).into()
}

/// The text of a policy that routes the service to these backends.
fn policy(via: &str, backends: &[String], options: &str) -> String {
    format!(
        "pool cats via {via} {{\n  {}\n  {options}\n}}\nroute cats when dst host {SERVICE} and udp dst port {QUIC}\n",
        backends.join("\n  ")
    )
}

/// Backends with numbers from 1 on.
fn numbered(hosts: impl IntoIterator<Item = String>) -> Vec<String> {
    hosts.into_iter().zip(1..).map(|(host, number)| format!("{host} id {number}")).collect()
}

fn two_armed() -> World {
    let world = World::two_armed();
    ip(&world.client, &format!("addr add {ELSEWHERE}/24 dev c0"));
    world
}

/// New connections spread over all servers, and each stays with its own.
#[track_caller]
fn connections_stay(world: &World) {
    let connections: Vec<_> = (0..ENOUGH).map(|_| connect(world)).collect();
    let servers: BTreeSet<String> = connections.iter().map(|(_, server)| server.clone()).collect();
    assert_eq!(servers, names(NAMES));
    for (id, server) in connections {
        assert_eq!(reached(world, id, 3), [server].into());
    }
}

/// A connection whose client moved gets to other servers.
#[track_caller]
fn connections_are_lost(world: &World) {
    let (id, _) = connect(world);
    assert_eq!(reached(world, id, ENOUGH), names(NAMES));
}

#[test]
fn root_a_client_that_moves_stays_with_its_server_via_nat() {
    let world = two_armed();
    let _servers = serving(&world, ANY);
    let backends = numbered(world.backends(false));
    for via in ["nat", "fullnat from 10.0.100.1"] {
        world.load(&policy(via, &backends, "hash quic"));
        connections_stay(&world);
        unload(&world.target());
    }
    world.load(&policy("nat", &backends, ""));
    connections_are_lost(&world);
    unload(&world.target());
}

#[test]
fn root_a_client_that_moves_stays_with_its_server_via_tunnels() {
    let world = two_armed();
    for (server, _) in &world.servers {
        ip(server, &format!("addr add {SERVICE}/32 dev lo"));
    }
    let _tunnels: Vec<Tunnel> = world.servers.iter().map(|(server, _)| Tunnel::start(server)).collect();
    let _servers = serving(&world, (SERVICE, QUIC));
    let backends = numbered(world.servers.iter().map(|(_, own)| own[0].clone()));
    for via in ["ipip", "gue"] {
        world.load(&policy(via, &backends, "hash quic"));
        connections_stay(&world);
        unload(&world.target());
    }
    world.load(&policy("ipip", &backends, ""));
    connections_are_lost(&world);
    unload(&world.target());
}

#[test]
fn root_a_client_that_moves_stays_with_its_server_on_the_segment() {
    let world = World::one_armed();
    ip(&world.client, &format!("addr add {ELSEWHERE}/24 dev c0"));
    for (server, _) in &world.servers {
        ip(server, &format!("addr add {SERVICE}/32 dev lo"));
        answers_directly(server);
    }
    let _servers = serving(&world, (SERVICE, QUIC));
    world.load(&policy("l2", &numbered(world.servers.iter().map(|(_, own)| own[0].clone())), "hash quic"));
    connections_stay(&world);
    unload(&world.target());
}

/// The connection id of a server with this number.
fn id(number: u8) -> [u8; 8] {
    [0x80, 0, 0, number, 1, 2, 3, 4]
}

#[test]
fn root_ids_come_and_go_with_their_backends() {
    let world = two_armed();
    let _servers = serving(&world, ANY);
    world.load(&policy("nat", &numbered(world.backends(false)), "hash quic"));
    let on = world.target();
    let pool = |words: &[&str]| done(&[&["pool"], words, &["--on", &on]].concat());
    let [one, two, three] = [0, 1, 2].map(|number| world.backend(number));

    // One that drains keeps its connections wherever they come from.
    pool(&["drain", "cats", &one]);
    assert_eq!(reached(&world, id(1), 3), names(["one"]));
    let new: BTreeSet<String> = (0..ENOUGH).map(|_| connect(&world).1).collect();
    assert_eq!(new, names(["two", "three"]));
    let left = pool(&["drain", "cats", &one]).out;
    assert!(left.contains("drains: 6 connections are left"), "{left}");

    pool(&["remove", "cats", &one]);
    pool(&["remove", "cats", &two]);
    assert_eq!(reached(&world, id(1), 3), names(["three"]));
    // It comes back with another id.
    pool(&["add", "cats", &two, "id", "9", "weight", "0"]);
    assert_eq!(reached(&world, id(1), 3), names(["three"]));
    assert_eq!(reached(&world, id(2), 3), names(["three"]));
    assert_eq!(reached(&world, id(9), 3), names(["two"]));

    let wrong = |words: &[&str]| ends(2, &[&["pool"], words, &["--on", &on]].concat()).err;
    let error = wrong(&["add", "cats", &one]);
    assert!(error.contains("hash quic needs an id for each backend"), "{error}");
    let error = wrong(&["add", "cats", &one, "id", "9"]);
    assert!(error.contains(&format!("id 9 is taken: {two} has it")), "{error}");
    // One that is there may get another id, and keeps its own where none is said.
    pool(&["add", "cats", &two, "id", "8", "weight", "0"]);
    pool(&["add", "cats", &two, "weight", "0"]);
    assert_eq!(reached(&world, id(9), 3), names(["three"]));
    assert_eq!(reached(&world, id(8), 3), names(["two"]));

    let shown = pool(&["show", "cats"]).out;
    assert!(shown.contains("BACKEND") && shown.contains("ID"), "{shown}");
    let shown: Value = serde_json::from_str(&pool(&["show", "cats", "--json"]).out).unwrap();
    let backends = shown["pools"][0]["backends"].as_array().unwrap();
    let ids: BTreeSet<_> = backends.iter().map(|one| (one["name"].as_str().unwrap(), one["id"].as_u64())).collect();
    assert_eq!(ids, [(two.as_str(), Some(8)), (three.as_str(), Some(3))].into());
    unload(&on);
}

#[test]
fn root_another_policy_goes_on_with_ids() {
    let world = two_armed();
    let _servers = serving(&world, ANY);
    let backends = numbered(world.backends(false));
    let keeper = Keeper::start(&world.policy(&policy("nat", &backends, "")), &world.target());
    connections_are_lost(&world);
    // From now on they are read.
    world.policy(&policy("nat", &backends, "hash quic"));
    assert_eq!(keeper.says(), "policy: other backends");
    for (number, name) in (1..).zip(NAMES) {
        assert_eq!(reached(&world, id(number), 3), names([name]));
    }
    // The first two change theirs, and the third goes.
    let hosts = world.backends(false);
    let changed = [format!("{} id 2", hosts[0]), format!("{} id 1 weight 0", hosts[1])];
    world.policy(&policy("nat", &changed, "hash quic"));
    assert_eq!(keeper.says(), "policy: other backends");
    for (number, name) in [(2, "one"), (1, "two"), (3, "one")] {
        assert_eq!(reached(&world, id(number), 3), names([name]));
    }
    // Another rule, the same pool.
    world.policy(&format!("drop when tcp dst port 81\n{}", policy("nat", &changed, "hash quic")));
    assert_eq!(keeper.says(), "policy: 1 rule added, 0 removed");
    assert_eq!(reached(&world, id(1), 3), names(["two"]));
    world.policy(&policy("nat", &changed, ""));
    assert_eq!(keeper.says(), "policy: 0 rules added, 1 removed");
    assert_eq!(reached(&world, id(1), 3), names(["one"]));
    keeper.end(Signal::SIGTERM);
}
