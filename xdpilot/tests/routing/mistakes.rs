//! Mistakes are told, with what mends them.

use crate::command::{done, ends, load, tool, unload};
use crate::curl::all_answer;
use crate::net::Net;
use crate::network::{switch, wire};
use crate::world::{CLIENT, SERVICE, World};

/// The command that an error ends with.
#[track_caller]
pub(crate) fn mend(error: &str) -> &str {
    let (_, command) = error.trim_end().rsplit_once("mend: ").unwrap_or_else(|| panic!("{error}"));
    command
}

#[test]
fn root_names_that_are_near_are_told() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    let on = world.target();
    let wrong = |words: &[&str]| ends(2, &[&["pool"], words, &["--on", &on]].concat()).err;
    let pool = wrong(&["drain", "cast", &world.backend(0)]);
    assert!(pool.contains("no loaded policy has a pool cast") && pool.contains("did you mean cats?"), "{pool}");
    for verb in [&["drain", "cats", "10.0.1.3:8080"][..], &["remove", "cats", "10.0.1.3:8080"]] {
        let backend = wrong(verb);
        assert!(backend.contains("it has no backend 10.0.1.3:8080"), "{backend}");
        assert!(backend.contains(&format!("did you mean {}", world.backend(0))), "{backend}");
    }
    let words = wrong(&["add", "cats", "10.0.1.300"]);
    assert!(words.contains("10.0.1.300"), "{words}");
    unload(&on);
    let gone = wrong(&["show", "cats"]);
    assert!(gone.contains("no loaded policy has a pool cats") || gone.contains("no policy is loaded there"), "{gone}");
}

#[test]
fn root_without_forwarding_the_switch_is_named() {
    let world = World::two_armed();
    switch(&world.router, "ipv4/ip_forward", "0");
    let policy = world.policy(&World::cats("nat", &world.backends(false)));
    let error = ends(2, &["load", &policy, "--on", &world.target()]).err;
    assert!(error.contains("route packets that arrive at r0, t1, t2, t3"), "{error}");
    assert!(error.contains("net.ipv4.conf.r0.forwarding"), "{error}");
    assert_eq!(world.router.xdp("r0"), None);
    tool(mend(&error));
    done(&["load", &policy, "--on", &world.target()]);
    all_answer(&world, SERVICE, CLIENT);
    unload(&world.target());
}

#[test]
fn root_a_program_where_replies_arrive_is_in_the_way() {
    let world = World::two_armed();
    let other = world.router.target("t2");
    load(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pass.o")), &other, &[]);
    let policy = world.policy(&World::cats("nat", &world.backends(false)));
    let error = ends(2, &["load", &policy, "--on", &world.target()]).err;
    assert!(error.contains("undo the translation of replies that arrive at t2"), "{error}");
    assert!(error.contains("another program stands there"), "{error}");
    let programs = ["r0", "t1", "t3"].map(|name| world.router.xdp(name));
    assert_eq!(programs, [None; 3], "all is as before");
    assert_eq!(mend(&error), format!("xdpilot unload --on {other}"));
    let words: Vec<&str> = mend(&error).split(' ').skip(1).collect();
    done(&words);
    done(&["load", &policy, "--on", &world.target()]);
    all_answer(&world, SERVICE, CLIENT);
    unload(&world.target());
}

#[test]
fn root_a_backend_without_an_address_is_told() {
    let (world, bare) = (World::two_armed(), Net::new());
    wire((&bare, "e0", &[]), (&world.router, "t9", &[]));
    let target = bare.target("e0");
    let policy = world.policy(&World::cats("nat", &[format!("{target}:8080")]));
    let error = ends(2, &["load", &policy, "--on", &world.target()]).err;
    assert!(error.contains("pool cats") && error.contains(&target), "{error}");
    assert!(error.contains("its interface e0 has no address"), "{error}");
    assert_eq!(world.router.xdp("r0"), None);
}
