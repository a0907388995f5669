//! Health checks of backends that serve the service's address themselves: they are asked there, by the data path.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use nix::sys::signal::Signal;
use xdpilot_kernel::tcx;

use crate::command::{done, unload};
use crate::curl::answering;
use crate::direct::answers_directly;
use crate::http::Server;
use crate::keeper::Keeper;
use crate::net::Net;
use crate::network::{ip, switch};
use crate::world::{NAMES, SERVICE, SERVICE6, World};

const CHECK: &str = "check http \"/\" port 80 every 100ms timeout 500ms";

/// The addresses of all servers of a family, and a check.
fn backends(world: &World, v6: bool) -> Vec<String> {
    let own = world.servers.iter().map(|(_, own)| own[usize::from(v6)].clone());
    own.chain([CHECK.to_string()]).collect()
}

/// Gives a host the service's addresses.
fn give_addresses(host: &Net) {
    switch(host, "ipv6/conf/lo/disable_ipv6", "0");
    ip(host, &format!("addr add {SERVICE}/32 dev lo"));
    ip(host, &format!("addr add {SERVICE6}/128 dev lo nodad"));
}

/// Serves at the service's addresses alone.
fn serve_service(world: &World, number: usize) -> [Server; 2] {
    give_addresses(&world.servers[number].0);
    [SERVICE, SERVICE6].map(|host| {
        Server::start_at(&world.servers[number].0, SocketAddr::new(host.parse().unwrap(), 80), NAMES[number])
    })
}

/// A server takes packets out of tunnels.
fn decapsulate(world: &World, number: usize) {
    let rules = "decap when proto 4 or proto 41 or udp dst port 6080; default pass";
    done(&["load", "-e", rules, "--on", &world.servers[number].0.target("e0")]);
}

/// The next lines, in any order.
#[track_caller]
fn say<const COUNT: usize>(keeper: &Keeper) -> BTreeSet<String> {
    (0..COUNT).map(|_| keeper.says()).collect()
}

/// The interfaces of the router where something sees packets that arrive before the stack does.
fn listening(world: &World) -> Vec<&'static str> {
    let names = ["r0", "t1", "t2", "t3"].into_iter();
    let there = |name: &&str| {
        let index = world.router.interface(name).index;
        !world.router.run(|| tcx::ingress(index)).unwrap().is_empty()
    };
    names.filter(there).collect()
}

/// The interfaces, addresses, routes and rules of the router, as ip(8) shows them.
fn network(world: &World) -> String {
    let shown = ["-br link show", "-o address show", "route show table all", "-6 route show table all", "rule show"];
    let shown = shown.map(|words| ip(&world.router, words)).join("");
    // The kernel's own addresses on a link come some time after it is up.
    shown.lines().filter(|line| !line.contains("fe80:")).map(|line| format!("{line}\n")).collect()
}

/// The first server serves, at the service's addresses alone; the second one takes nothing out of tunnels, and the third
/// one does not have the addresses, but both serve at their own.
fn what_does_not_serve_is_out(via: &str, v6: bool) {
    let world = World::two_armed();
    let _first = serve_service(&world, 0);
    let _others = [1, 2].map(|number| Server::start(&world.servers[number].0, 80, NAMES[number]));
    give_addresses(&world.servers[1].0);
    [0, 2].into_iter().for_each(|number| decapsulate(&world, number));
    let keeper = Keeper::start(&world.policy(&World::cats(via, &backends(&world, v6))), &world.target());
    let line = |number: usize, what: &str| {
        format!("{}: {} of cats {what}", world.target(), world.servers[number].1[usize::from(v6)])
    };
    let out = format!("is out: at {SERVICE}:80: no answer in time");
    assert_eq!(say::<2>(&keeper), BTreeSet::from([line(1, &out), line(2, &out)]), "{via} {v6}");
    assert_eq!(answering(&world), ["one"]);
    decapsulate(&world, 1);
    assert_eq!(keeper.says(), line(1, "is well"));
    give_addresses(&world.servers[2].0);
    assert_eq!(keeper.says(), line(2, "is well"));
    assert_eq!(answering(&world), NAMES);
    keeper.end(Signal::SIGTERM);
}

#[test]
fn root_backends_in_tunnels_are_asked_at_the_service() {
    what_does_not_serve_is_out("ipip", false);
}

#[test]
fn root_backends_in_ipv6_tunnels_are_asked_at_the_service() {
    what_does_not_serve_is_out("gue", true);
}

#[test]
fn root_backends_on_the_segment_are_asked_at_the_service() {
    let world = World::one_armed();
    let serving: Vec<_> = (0..2).map(|number| serve_service(&world, number)).collect();
    let _third = Server::start(&world.servers[2].0, 80, NAMES[2]);
    for (server, _) in &world.servers {
        answers_directly(server);
    }
    // Packets may come to the router because it has the addresses itself.
    give_addresses(&world.router);
    let own = world.servers.iter().flat_map(|(_, own)| own.clone());
    let lines: Vec<String> = own.chain([CHECK.to_string()]).collect();
    let keeper = Keeper::start(&world.policy(&World::cats("l2", &lines)), &world.target());
    let line = |number: usize, v6: bool, what: &str| {
        format!("{}: {} of cats {what}", world.target(), world.servers[number].1[usize::from(v6)])
    };
    let out = |service: &str| format!("is out: at {service}:80: no answer in time");
    let (v4, v6) = (out(SERVICE), out(&format!("[{SERVICE6}]")));
    assert_eq!(say::<2>(&keeper), BTreeSet::from([line(2, false, &v4), line(2, true, &v6)]));
    assert_eq!(answering(&world), ["one", "two"]);
    // Nobody listens any more, and the host says so.
    drop(serving);
    let refused = |number, service: &str, v6| {
        line(number, v6, &format!("is out: at {service}:80: Connection refused (os error 111)"))
    };
    let v6 = format!("[{SERVICE6}]");
    let both = |number| [refused(number, SERVICE, false), refused(number, &v6, true)];
    assert_eq!(say::<4>(&keeper), BTreeSet::from_iter([both(0), both(1)].concat()));
    keeper.end(Signal::SIGTERM);
}

#[test]
fn root_checks_by_the_data_path_leave_nothing() {
    let world = World::two_armed();
    let _first = serve_service(&world, 0);
    decapsulate(&world, 0);
    let servers = world.servers.iter().map(|(server, _)| server.target("e0"));
    let lines: Vec<String> = servers.chain([CHECK.to_string()]).collect();
    let (before, text) = (network(&world), World::cats("ipip", &lines));
    let start = || {
        let keeper = Keeper::start(&world.policy(&text), &world.target());
        assert_eq!(say::<2>(&keeper).len(), 2);
        assert_eq!(listening(&world), ["r0", "t1", "t2", "t3"]);
        assert_eq!(network(&world), before);
        keeper
    };
    start().end(Signal::SIGTERM);
    assert_eq!(listening(&world), [""; 0]);
    assert_eq!(network(&world), before);
    // Nor does a command that is killed; the policy stands as long as nobody takes it off.
    drop(start());
    assert_eq!(listening(&world), [""; 0]);
    assert_eq!(network(&world), before);
    unload(&world.target());
}

#[test]
fn root_without_an_address_of_the_service_backends_are_asked_at_their_own() {
    let world = World::two_armed();
    let _servers = [0, 1].map(|number| Server::start(&world.servers[number].0, 80, NAMES[number]));
    let text = World::cats("ipip", &backends(&world, false));
    let text = text.replace(&format!("dst host {SERVICE} and"), "").replace(&format!("dst host {SERVICE6} and"), "");
    let keeper = Keeper::start(&world.policy(&text), &world.target());
    let (target, third) = (world.target(), &world.servers[2].1[0]);
    let said = std::iter::repeat_with(|| keeper.complains()).find(|said| said.contains("checked")).unwrap();
    let why = "no rule names the address of the service (route … when dst host ADDRESS)";
    assert_eq!(said, format!("note: {target}: backends of cats are checked at their own addresses: {why}"));
    let said = keeper.says();
    assert_eq!(said, format!("{target}: {third} of cats is out: Connection refused (os error 111)"));
    keeper.end(Signal::SIGTERM);
}
