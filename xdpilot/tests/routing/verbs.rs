//! What `xdpilot pool` says, and does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::command::{XDPILOT, done, unload};
use crate::curl::answering;
use crate::http::{Connection, Server};
use crate::net::PATIENCE;
use crate::tunnel::Tunnel;
use crate::tunnels::serve_service;
use crate::world::{NAMES, SERVICE, World};

/// What `pool` says as JSON of its only pool.
#[track_caller]
fn json(words: &[&str]) -> Value {
    let ran = done(&[&["pool"], words, &["--json"]].concat());
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&document["version"], document["pools"].as_array().unwrap().len()), (&1.into(), 1));
    document["pools"][0].clone()
}

#[test]
fn root_backends_are_shown_with_what_they_were_sent() {
    let world = World::two_armed();
    let mut lines = world.backends(false);
    lines[0].push_str(" weight 2");
    lines[1].push_str(" drain");
    world.load(&World::cats("nat", &lines));
    let on = world.target();
    let mut connection = Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
    let server = connection.server();
    let shown = done(&["pool", "show", "--on", &on]).out;
    let mut rows = shown.lines();
    assert_eq!(rows.next(), Some(format!("cats via nat on {on}").as_str()));
    let cells = |row: &str| row.split_whitespace().map(ToString::to_string).collect::<Vec<_>>();
    let heads = ["BACKEND", "WEIGHT", "STATE", "ACTIVE", "CONNECTIONS", "PACKETS", "BYTES", "UNREACHABLE"];
    assert_eq!(cells(rows.next().unwrap()), heads);
    let first: Vec<Vec<String>> = rows.map(|row| cells(row)[..3].to_vec()).collect();
    let expected = [("2", "up"), ("1", "drains"), ("1", "up")];
    for ((row, (weight, state)), number) in first.iter().zip(expected).zip(0..) {
        assert_eq!(*row, [&world.backend(number), weight, state]);
    }

    let pool = json(&["show", "cats", "--on", &on]);
    assert_eq!((&pool["pool"], &pool["target"], &pool["via"]), (&"cats".into(), &on.clone().into(), &"nat".into()));
    let number = NAMES.iter().position(|name| *name == server).unwrap();
    for (at, backend) in pool["backends"].as_array().unwrap().iter().enumerate() {
        assert_eq!(backend["name"], world.backend(at));
        assert_eq!(backend["address"], world.servers[at].1[0]);
        let its = u64::from(at == number);
        assert_eq!((&backend["active"], &backend["connections"]), (&its.into(), &its.into()), "{pool}");
        assert_eq!(backend["packets"].as_u64().unwrap() > 0, at == number, "{pool}");
        assert_eq!((&backend["unreachable"], backend["bytes"].as_u64() > Some(0)), (&0.into(), at == number));
    }
    unload(&on);
}

/// Connections of one that is gone are known by its number: nobody else gets that meanwhile.
#[test]
fn root_a_backend_that_joins_has_no_connections_of_another() {
    let world = World::two_armed();
    let [one, two, three] = [0, 1, 2].map(|number| world.backend(number));
    world.load(&World::cats("nat", std::slice::from_ref(&one)));
    let on = world.target();
    let active = || {
        let pool = json(&["show", "cats", "--on", &on]);
        let backends = pool["backends"].as_array().unwrap().clone();
        let count =
            |backend: &Value| (backend["name"].as_str().unwrap().to_string(), backend["active"].as_u64().unwrap());
        backends.iter().map(count).collect::<Vec<_>>()
    };
    let mut connection = Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
    assert_eq!(connection.server(), "one");
    assert_eq!(active(), [(one.clone(), 1)]);
    done(&["pool", "add", "cats", &two, "--on", &on]);
    done(&["pool", "remove", "cats", &one, "--on", &on]);
    done(&["pool", "add", "cats", &three, "--on", &on]);
    assert_eq!(active(), [(two, 0), (three, 0)]);
    unload(&on);
}

/// A connection that stays open to this server.
fn connection_to(world: &World, server: &str) -> Connection {
    loop {
        let mut connection = Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
        if connection.server() == server {
            return connection;
        }
    }
}

#[test]
fn root_backends_are_drained_weighed_removed_and_added() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    let on = world.target();
    let does = |words: &[&str], says: &str, answer: &[&str]| {
        let name = words[2];
        let ran = done(&[&["pool"], words, &["--on", &on]].concat());
        assert_eq!(ran.out, format!("{on}: {name} of cats {says}\n"), "{ran:?}");
        assert_eq!(answering(&world), answer, "{words:?}");
        ran.err
    };
    let [one, two, three] = [0, 1, 2].map(|number| world.backend(number));
    does(&["drain", "cats", &one], "drains: 0 connections are left", &["two", "three"]);
    does(&["weight", "cats", &two, "0"], "has weight 0, and had 1", &["three"]);
    does(&["add", "cats", &one], "takes connections, with weight 1", &["one", "three"]);
    let _kept = connection_to(&world, "three");
    let notes = does(&["remove", "cats", &three], "removed", &["one"]);
    assert!(notes.contains(&format!("connections to {three} were cut")), "{notes}");
    does(&["add", "cats", &three, "weight", "3"], "added, with weight 3", &["one", "three"]);
    let changed = json(&["weight", "cats", &two, "2", "--on", &on]);
    let expected = serde_json::json!({
        "pool": "cats", "target": on, "backend": two, "done": "has weight 2, and had 0", "notes": [],
    });
    assert_eq!(changed, expected);
    assert_eq!(answering(&world), NAMES);
    unload(&on);
}

#[test]
fn root_rates_are_shown_to_those_who_watch() {
    let world = World::two_armed();
    let mut lines = world.backends(false);
    lines[2].push_str(" drain");
    world.load(&World::cats("nat", &lines));
    let on = world.target();
    let words = ["pool", "show", "cats", "--on", &on, "--watch", "0.2", "--json"];
    let mut watching = Command::new(XDPILOT).args(words).stdout(Stdio::piped()).spawn().unwrap();
    let mut documents = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut backends = || {
        let document: Value = serde_json::from_str(&documents.next().unwrap().unwrap()).unwrap();
        document["pools"][0]["backends"].as_array().unwrap().clone()
    };
    assert!(backends().iter().all(|backend| backend.get("packets_per_second").is_none()));
    assert_eq!(answering(&world), ["one", "two"]);
    let rate = |backend: &Value, of: &str| backend[format!("{of}_per_second")].as_f64().unwrap();
    let busy = loop {
        let seen = backends();
        if rate(&seen[0], "connections") > 0.0 {
            break seen;
        }
    };
    assert!(rate(&busy[0], "packets") >= rate(&busy[0], "connections"), "{busy:?}");
    assert!(rate(&busy[0], "bytes") > 40.0 * rate(&busy[0], "packets"), "{busy:?}");
    assert_eq!(rate(&busy[2], "packets"), 0.0, "it drains");
    kill(Pid::from_raw(watching.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(0));

    let status = done(&["status", "--on", &on]).out;
    assert!(status.contains("pool cats: 2 up, 1 drain, 0 down"), "{status}");
    let status: Value = serde_json::from_str(&done(&["status", "--on", &on, "--json"]).out).unwrap();
    let pools = &status["interfaces"][0]["programs"][0]["policy"]["pools"];
    assert_eq!(*pools, serde_json::json!([{"name": "cats", "up": 2, "drains": 1, "down": 0}]));
    unload(&on);
}

#[test]
fn root_connections_that_ended_are_active_no_more() {
    for via in ["nat", "ipip"] {
        let world = World::two_armed();
        let _tunnels: Vec<Tunnel> = world.servers.iter().map(|(server, _)| Tunnel::start(server)).collect();
        let _servers: Vec<Server> = (0..3).map(|number| serve_service(&world, number)).collect();
        let backends = match via {
            "nat" => world.backends(false),
            _ => world.servers.iter().map(|(_, own)| own[0].clone()).collect(),
        };
        world.load(&World::cats(via, &backends));
        let on = world.target();
        let open = || Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
        let mut connections: Vec<Connection> = (0..6).map(|_| open()).collect();
        connections.iter_mut().for_each(|connection| drop(connection.server()));
        let active = || {
            let pool = json(&["show", "cats", "--on", &on]);
            let backends = pool["backends"].as_array().unwrap().clone();
            backends.iter().map(|backend| backend["active"].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(active(), 6, "{via}");
        connections.truncate(2);
        let deadline = Instant::now() + PATIENCE;
        while active() > 2 {
            assert!(Instant::now() < deadline, "{via}: connections that ended count as active");
        }
        connections.iter_mut().for_each(|connection| drop(connection.server()));
        assert_eq!(active(), 2, "{via}");
        connections.clear();
        while active() > 0 {
            assert!(Instant::now() < deadline, "{via}: connections that ended count as active");
        }
        let removed = done(&["pool", "remove", "cats", &backends[0], "--on", &on]);
        assert!(!removed.err.contains("were cut"), "{removed:?}");
        unload(&on);
    }
}
