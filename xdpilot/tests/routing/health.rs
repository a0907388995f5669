//! Health checks: what does not answer gets no packets.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use xdpilot_kernel::pins;

use crate::command::done;
use crate::curl::answering;
use crate::http::Connection;
use crate::keeper::Keeper;
use crate::support::folder::Folder;
use crate::world::{NAMES, PORT, SERVICE, World};

const EVERY: Duration = Duration::from_millis(200);
/// What a busy machine may need beside.
const A_LITTLE: Duration = Duration::from_millis(600);

/// How the backends are, as `pool show` says.
fn states(world: &World) -> Vec<String> {
    let shown = done(&["pool", "show", "cats", "--on", &world.target(), "--json"]).out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let backends = shown["pools"][0]["backends"].as_array().unwrap();
    backends.iter().map(|one| one["state"].as_str().unwrap().to_string()).collect()
}

#[test]
fn root_a_killed_server_is_out_soon_and_comes_back() {
    let mut world = World::two_armed();
    let mut lines = world.backends(false);
    lines.push(format!("check http \"/\" every {}ms", EVERY.as_millis()));
    let keeper = Keeper::start(&world.policy(&World::cats("nat", &lines)), &world.target());
    assert_eq!(answering(&world), NAMES);
    let mut connections: BTreeMap<String, Connection> = BTreeMap::new();
    while connections.len() < NAMES.len() {
        let mut connection = Connection::open(&world.client, format!("{SERVICE}:80").parse().unwrap());
        connections.insert(connection.server(), connection);
    }

    // A command that takes its time elsewhere does not delay it.
    let lock = pins::lock(|| {}).unwrap();
    let killed = Instant::now();
    world.kill(1);
    let said = keeper.says();
    let took = killed.elapsed();
    drop(lock);
    let out = format!("{}: {} of cats is out: ", world.target(), world.backend(1));
    assert!(said.starts_with(&out), "{said}");
    assert!(took < 2 * EVERY + A_LITTLE, "{took:?}");
    assert_eq!(answering(&world), ["one", "three"]);
    assert_eq!(states(&world), ["up", "down", "up"]);
    // Only its connections suffer.
    for name in ["one", "three"] {
        assert_eq!(connections.get_mut(name).unwrap().server(), name);
    }

    world.revive(1);
    assert_eq!(keeper.says(), format!("{}: {} of cats is well", world.target(), world.backend(1)));
    assert_eq!(answering(&world), NAMES);
    assert_eq!(states(&world), ["up"; 3]);
    keeper.end(Signal::SIGTERM);
}

/// A command is told which backend it is to look at.
#[test]
fn root_commands_say_how_backends_are() {
    let (world, folder) = (World::two_armed(), Folder::new());
    let ill = folder.path(&format!("{}-{PORT}", world.servers[1].1[0]));
    let command = format!("! test -e {}/$XDPILOT_ADDRESS-$XDPILOT_PORT", ill.parent().unwrap().display());
    let lines = [world.backends(false), vec![format!("check exec \"{command}\" every 50ms rise 1")]].concat();
    let keeper = Keeper::start(&world.policy(&World::cats("nat", &lines)), &world.target());
    std::fs::write(&ill, "").unwrap();
    let backend = format!("{}: {} of cats", world.target(), world.backend(1));
    assert_eq!(keeper.says(), format!("{backend} is out: exit status: 1"));
    assert_eq!(answering(&world), ["one", "three"]);
    std::fs::remove_file(&ill).unwrap();
    assert_eq!(keeper.says(), format!("{backend} is well"));
    keeper.end(Signal::SIGTERM);
}

#[test]
fn root_a_backend_to_which_no_connection_can_be_opened_is_out() {
    let mut world = World::two_armed();
    let lines = [world.backends(true), vec!["check tcp every 50ms fall 3".to_string()]].concat();
    let keeper = Keeper::start(&world.policy(&World::cats("nat", &lines)), &world.target());
    world.kill(2);
    let backend = format!("{}: {} of cats", world.target(), world.backends(true)[2]);
    assert_eq!(keeper.says(), format!("{backend} is out: Connection refused (os error 111)"));
    world.revive(2);
    assert_eq!(keeper.says(), format!("{backend} is well"));
    keeper.end(Signal::SIGTERM);
}
