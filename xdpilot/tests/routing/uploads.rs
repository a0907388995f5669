//! Uploads of clients on this machine, whose kernel leaves it to the device to cut segments (TSO).

use std::path::PathBuf;

use crate::command::{done, tool, unload};
use crate::curl::upload;
use crate::direct::answers_directly;
use crate::http::{Server, big};
use crate::support::folder::Folder;
use crate::tunnels::{decapsulating, serve_service};
use crate::world::{NAMES, SERVICE, World};

/// What is uploaded: much more than a connection has under way.
fn file(folder: &Folder) -> PathBuf {
    let file = folder.path("big");
    std::fs::write(&file, &big()[..20_000_000]).unwrap();
    file
}

/// A file comes to a server as the client sent it. In generic mode the command says what else is to be done, and that is done.
fn arrives(world: &World, via: &str, backends: &[String], mode: &str) {
    let folder = Folder::new();
    let policy = world.policy(&World::cats(via, backends));
    let loaded = done(&["load", &policy, "--on", &world.target(), "--mode", mode]);
    let mends: Vec<String> = loaded.err.lines().filter_map(mend).collect();
    assert_eq!(mends.len(), usize::from(mode == "generic"), "{}", loaded.err);
    mends.iter().for_each(|words| drop(tool(words)));
    let said = upload(&world.client, &format!("http://{SERVICE}/same"), &file(&folder));
    assert_eq!(said, "the same\n", "{via}, {mode}");
    mends.iter().for_each(|words| drop(tool(&words.replace(" off", " on"))));
    unload(&world.target());
}

/// The command that makes the other end of a veth pair cut segments.
fn mend(note: &str) -> Option<String> {
    let (_, words) = note.split_once("(TSO)")?;
    Some(format!("ip netns exec {}", words.split_once("ip netns exec ")?.1))
}

const MODES: [&str; 2] = ["native", "generic"];

#[test]
fn root_uploads_arrive_translated() {
    let world = World::two_armed();
    for mode in MODES {
        arrives(&world, "nat", &world.backends(false), mode);
        arrives(&world, "fullnat from 10.0.100.1", &world.backends(false), mode);
    }
}

#[test]
fn root_uploads_arrive_in_tunnels() {
    let (world, _servers) = decapsulating();
    let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[0].clone()).collect();
    for mode in MODES {
        arrives(&world, "ipip", &backends, mode);
        arrives(&world, "gue", &backends, mode);
    }
}

#[test]
fn root_uploads_arrive_on_a_segment() {
    let world = World::one_armed();
    let servers: Vec<Server> = (0..NAMES.len()).map(|number| serve_service(&world, number)).collect();
    world.servers.iter().for_each(|(server, _)| answers_directly(server));
    let backends: Vec<String> = world.servers.iter().map(|(_, own)| own[0].clone()).collect();
    for mode in MODES {
        arrives(&world, "l2", &backends, mode);
    }
    drop(servers);
}
