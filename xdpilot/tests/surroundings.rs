//! What happens around an agent is told at once. Needs root, ip, docker.io, podman, runc, busybox-static, curl.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

/// Engines, images and containers that the tests make and remove.
#[allow(dead_code, reason = "shared with other tests")]
mod support {
    pub(crate) mod docker;
    pub(crate) mod engine;
    pub(crate) mod image;
    pub(crate) mod podman;
    pub(crate) mod subject;
    pub(crate) mod watchdog;

    /// Runs a command that must succeed and returns its standard output.
    #[track_caller]
    pub(crate) fn run(program: &str, args: &[&str]) -> String {
        let output = std::process::Command::new(program).args(args).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use support::engine::TestEngine;
use support::{docker, podman};
use xdpilot::agent::surroundings::{Happening, Surroundings};
use xdpilot::engine::events::{Event, Kind};
use xdpilot::engine::{Client, Engine};
use xdpilot_kernel::namespace::Namespace;

/// How long it may take until something is told.
const SOON: Duration = Duration::from_secs(5);

/// A named namespace that goes with this value.
struct Net(String);

impl Net {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xp{}s{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        Net(name)
    }

    fn namespace(&self) -> Namespace {
        Namespace::named(&self.0).unwrap()
    }

    #[track_caller]
    fn ip(&self, line: &str) {
        ip(&format!("-n {} {line}", self.0));
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // The test may have deleted it.
        _ = std::process::Command::new("ip").args(["netns", "delete", &self.0]).output();
    }
}

#[track_caller]
fn ip(line: &str) {
    support::run("ip", &line.split_whitespace().collect::<Vec<_>>());
}

/// Surroundings and what they tell. Engines are those of the test.
fn surroundings(engines: &[&Arc<TestEngine>]) -> (Surroundings, Receiver<Happening>) {
    let (tell, told) = mpsc::channel();
    let clients: Vec<(Engine, Client)> = engines.iter().map(|engine| (engine.engine, engine.asked())).collect();
    let connect = move |wanted| match clients.iter().find(|(engine, _)| *engine == wanted) {
        Some((_, client)) => Ok(client.clone()),
        None => Ok(Client::at(wanted, "/nowhere/sock")),
    };
    // What is told after the end of a test is nobody's.
    (Surroundings::begin(move |happening| _ = tell.send(happening), connect).unwrap(), told)
}

/// What is told until all of these are, each soon from now.
#[track_caller]
fn await_all(told: &Receiver<Happening>, wanted: &[Happening]) -> Vec<Happening> {
    let deadline = Instant::now() + SOON;
    let mut heard: Vec<Happening> = Vec::new();
    while let Some(missing) = wanted.iter().find(|wanted| !heard.iter().any(|heard| tells(heard, wanted))) {
        let left = deadline.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(happening) => heard.push(happening),
            Err(_) => panic!("{missing:?} was not told, but {heard:?}"),
        }
    }
    heard
}

/// Whether one tells what is wanted: what happens to several interfaces at a time may be told at once.
fn tells(heard: &Happening, wanted: &Happening) -> bool {
    match (heard, wanted) {
        (Happening::Links(of, names), Happening::Links(namespace, wanted)) => {
            of == namespace && wanted.is_subset(names)
        }
        (heard, wanted) => heard == wanted,
    }
}

fn links(namespace: u64, names: &[&str]) -> Happening {
    Happening::Links(namespace, names.iter().map(ToString::to_string).collect())
}

fn container(engine: Engine, name: &str, id: &str, kind: Kind) -> Happening {
    Happening::Container(engine, Event { name: name.to_owned(), id: id.to_owned(), kind })
}

#[test]
fn root_interfaces_are_told_of_at_once() {
    let (one, other) = (Net::new(), Net::new());
    let (first, second) = (one.namespace().inode(), other.namespace().inode());
    let (mut surroundings, told) = surroundings(&[]);
    let namespaces = || vec![one.namespace(), other.namespace()];
    assert_eq!(surroundings.follow(namespaces(), &BTreeSet::new(), false).unwrap(), [first, second].into());
    assert_eq!(surroundings.follow(namespaces(), &BTreeSet::new(), false).unwrap(), [].into());

    one.ip("link add late type veth peer name far");
    await_all(&told, &[links(first, &["late"]), links(first, &["far"])]);
    one.ip("link set late name eth0");
    await_all(&told, &[links(first, &["late", "eth0"])]);
    one.ip("link set far up");
    await_all(&told, &[links(first, &["far"])]);
    one.ip(&format!("link set far netns {}", other.0));
    await_all(&told, &[links(first, &["far"]), links(second, &["far"])]);
    one.ip("link delete eth0");
    await_all(&told, &[links(first, &["eth0"]), links(second, &["far"])]);

    // What is not followed any more is not told of.
    surroundings.follow(vec![other.namespace()], &BTreeSet::new(), false).unwrap();
    one.ip("link add quiet type veth peer name far");
    other.ip("link add loud type veth peer name far");
    let heard = await_all(&told, &[links(second, &["loud"])]);
    assert!(heard.iter().all(|happening| !matches!(happening, Happening::Links(of, _) if *of == first)), "{heard:?}");
    // The host's own interfaces are followed like others.
    let host = Namespace::current().unwrap();
    assert!(surroundings.also(&host).unwrap());
    let name = format!("xp{}d", std::process::id());
    ip(&format!("link add {name} type veth peer name wire netns {}", one.0));
    await_all(&told, &[links(host.inode(), &[&name])]);
}

#[test]
fn root_names_of_namespaces_are_told_of_at_once_and_lead_there() {
    let (mut surroundings, told) = surroundings(&[]);
    surroundings.follow(Vec::new(), &BTreeSet::new(), true).unwrap();
    for _ in 0..3 {
        let net = Net::new();
        await_all(&told, &[Happening::Name(net.0.clone())]);
        let namespace = net.namespace();
        assert!(surroundings.also(&namespace).unwrap());
        let inode = namespace.inode();
        drop(namespace);
        ip(&format!("netns delete {}", net.0));
        // Nothing here kept it alive.
        await_all(&told, &[Happening::Name(net.0.clone()), Happening::Unfollowed(inode)]);
    }
}

/// A container that restarts is told of by its name, and a renamed one by both.
fn containers_are_told_of(engine: &Arc<TestEngine>) {
    let (mut surroundings, told) = surroundings(&[engine]);
    let kind = engine.engine;
    surroundings.follow(Vec::new(), &[kind].into(), false).unwrap();
    await_all(&told, &[Happening::Containers(kind)]);
    let subject = engine.run_container();
    let said = |event: Kind| container(kind, &subject.name, &subject.id, event);
    await_all(&told, &[said(Kind::Start)]);
    let namespace = Namespace::of_pid(engine.asked().find(&subject.name).unwrap().pid).unwrap();
    let inode = namespace.inode();
    assert_eq!(surroundings.follow(vec![namespace], &[kind].into(), false).unwrap(), [inode].into());

    // `restart` waits until the container serves.
    subject.restart();
    let gone = await_all(&told, &[said(Kind::Die), said(Kind::Start)]);
    // Podman's service may keep the empty namespace.
    if kind == Engine::Docker && !gone.contains(&Happening::Unfollowed(inode)) {
        await_all(&told, &[Happening::Unfollowed(inode)]);
    }
    let renamed = format!("{}r", subject.name);
    engine.client(&["rename", &subject.name, &renamed]);
    let before = (kind == Engine::Docker).then(|| subject.name.clone());
    await_all(&told, &[container(kind, &renamed, &subject.id, Kind::Rename { before })]);
    engine.client(&["rename", &renamed, &subject.name]);
    drop(surroundings);
}

#[test]
fn root_containers_of_docker_are_told_of_at_once() {
    containers_are_told_of(&docker::shared());
}

#[test]
fn root_containers_of_podman_are_told_of_at_once() {
    containers_are_told_of(&podman::shared());
}

/// Ends a Docker that is the test's own, and waits until it answers again.
fn restart(engine: &TestEngine) {
    let listens = || UnixStream::connect(&engine.socket).is_ok();
    support::run("kill", &[fs::read_to_string(engine.names.dir.join("dockerd.pid")).unwrap().trim()]);
    let deadline = Instant::now() + Duration::from_secs(30);
    for wanted in [false, true] {
        while listens() != wanted {
            assert!(Instant::now() < deadline, "the engine does not start again");
            thread::sleep(Duration::from_millis(1));
        }
    }
    // It is ready when it answers.
    engine.client(&["ps"]);
}

#[test]
fn root_a_docker_that_restarts_is_heard_again_at_once() {
    let engine = Arc::new(docker::private());
    let (mut surroundings, told) = surroundings(&[&engine]);
    surroundings.follow(Vec::new(), &[Engine::Docker, Engine::Podman].into(), false).unwrap();
    let heard = await_all(&told, &[Happening::Containers(Engine::Docker)]);
    restart(&engine);
    let heard = [heard, await_all(&told, &[Happening::Containers(Engine::Docker)])].concat();
    let away = |wanted| heard.iter().filter(|heard| matches!(heard, Happening::Away(of, _) if *of == wanted)).count();
    // The other was never there, and is not told of again and again.
    assert_eq!((away(Engine::Docker), away(Engine::Podman)), (1, 1), "{heard:?}");
    let subject = engine.run_container();
    await_all(&told, &[container(Engine::Docker, &subject.name, &subject.id, Kind::Start)]);
}
