//! What a program sends back arrives, though its veth peer has no program.

use crate::command::{load, tool, unload};
use crate::net::{FAR, PATIENCE, Pair, socket};
use crate::programs::example;

/// Whether a datagram comes back to its sender, at whose end no program is.
fn returns(pair: &Pair) -> bool {
    assert_eq!(pair.near.xdp("near0"), None);
    let sender = socket(&pair.near, "10.0.0.1");
    sender.set_read_timeout(Some(PATIENCE)).unwrap();
    sender.connect((FAR, 7)).unwrap();
    sender.send(b"hello").unwrap();
    let mut bytes = [0; 16];
    sender.recv(&mut bytes).is_ok_and(|size| &bytes[..size] == b"hello")
}

#[test]
fn root_gro_is_turned_on_for_a_sender_and_off_again() {
    let pair = Pair::new();
    assert!(!pair.near.gro("near0"));
    let answer = load(&example("bounce"), &pair.target(), &[]);
    assert!(pair.near.gro("near0"));
    assert!(answer["notes"].to_string().contains("turned GRO on"), "{answer}");
    assert!(returns(&pair));
    let ran = unload(&pair.target());
    assert!(ran.err.contains("turned GRO off again"), "{ran:?}");
    assert!(!pair.near.gro("near0"));
}

#[test]
fn root_gro_survives_replacements_and_goes_with_the_last_program() {
    let pair = Pair::new();
    load(&example("dropper"), &pair.target(), &[]);
    assert!(!pair.near.gro("near0"), "a dropper sends nothing");
    load(&example("bounce"), &pair.target(), &["--replace"]);
    assert!(returns(&pair));
    load(&example("bounce"), &pair.target(), &["--replace"]);
    assert!(returns(&pair));
    load(&example("dropper"), &pair.target(), &["--replace"]);
    unload(&pair.target());
    assert!(!pair.near.gro("near0"));
}

#[test]
fn root_gro_that_its_owner_turned_on_stays() {
    let pair = Pair::new();
    tool(&format!("nsenter --net=/run/netns/{} ethtool -K near0 gro on", pair.near.name));
    load(&example("bounce"), &pair.target(), &[]);
    assert!(returns(&pair));
    unload(&pair.target());
    assert!(pair.near.gro("near0"));
}

#[test]
fn root_a_detachment_by_others_is_mended_by_the_next_command() {
    let (pair, other) = (Pair::new(), Pair::new());
    let answer = load(&example("bounce"), &pair.target(), &[]);
    tool(&format!("bpftool link detach pinned {}", answer["link"].as_str().unwrap()));
    assert!(pair.near.gro("near0"));
    unload(&other.target());
    assert!(!pair.near.gro("near0"));
    assert!(!std::path::Path::new(answer["link"].as_str().unwrap()).exists());
}
