//! What a program sends back arrives, though its veth peer had no program.

use xdpilot_kernel::pins;

use crate::command::{load, tool, unload};
use crate::net::{FAR, PATIENCE, Pair, socket};
use crate::programs::example;

/// Whether ten datagrams, one after the other, come back to their sender.
fn returns(pair: &Pair) -> bool {
    let sender = socket(&pair.near, "10.0.0.1");
    sender.set_read_timeout(Some(PATIENCE)).unwrap();
    sender.connect((FAR, 7)).unwrap();
    (0..10u8).all(|number| {
        let mut bytes = [0; 16];
        sender.send(&[number]).unwrap();
        sender.recv(&mut bytes).is_ok_and(|size| bytes[..size] == [number])
    })
}

/// The words that name the sender's end.
fn near(pair: &Pair) -> String {
    format!("netns:{}/near0", pair.near.name)
}

#[test]
fn root_a_companion_comes_and_goes_with_a_program_that_sends() {
    let pair = Pair::new();
    let answer = load(&example("bounce"), &pair.target(), &[]);
    assert!(answer["notes"].to_string().contains("put xdpilot_pass at the other end"), "{answer}");
    assert!(pair.near.xdp("near0").is_some());
    assert!(returns(&pair));
    let ran = unload(&pair.target());
    assert!(ran.err.contains("took xdpilot_pass off"), "{ran:?}");
    assert_eq!(pair.near.xdp("near0"), None);
}

#[test]
fn root_a_companion_survives_replacements_and_goes_with_the_last_program() {
    let pair = Pair::new();
    load(&example("dropper"), &pair.target(), &[]);
    assert_eq!(pair.near.xdp("near0"), None, "a dropper sends nothing");
    load(&example("bounce"), &pair.target(), &["--replace"]);
    assert!(returns(&pair));
    load(&example("bounce"), &pair.target(), &["--replace"]);
    assert!(returns(&pair));
    load(&example("dropper"), &pair.target(), &["--replace"]);
    unload(&pair.target());
    assert_eq!(pair.near.xdp("near0"), None);
}

#[test]
fn root_a_companion_makes_room_for_a_program_and_takes_its_place_again() {
    let pair = Pair::new();
    load(&example("bounce"), &pair.target(), &[]);
    load(&example("pass"), &near(&pair), &[]);
    assert!(returns(&pair));
    let ran = unload(&near(&pair));
    assert!(ran.err.contains("put xdpilot_pass in its place"), "{ran:?}");
    assert!(returns(&pair));
    unload(&pair.target());
    assert_eq!(pair.near.xdp("near0"), None);
}

#[test]
fn root_a_program_at_the_other_end_stays_as_it_is() {
    let pair = Pair::new();
    load(&example("pass"), &near(&pair), &[]);
    let before = pair.near.xdp("near0");
    load(&example("bounce"), &pair.target(), &[]);
    assert!(returns(&pair));
    unload(&pair.target());
    assert_eq!(pair.near.xdp("near0"), before);
    unload(&near(&pair));
}

#[test]
fn root_a_companion_left_alone_is_taken_off_by_the_next_command() {
    let (pair, other) = (Pair::new(), Pair::new());
    let answer = load(&example("bounce"), &pair.target(), &[]);
    // Until it was seen, the commands of other tests must not take it off.
    let lock = pins::lock(|| {}).unwrap();
    tool(&format!("bpftool link detach pinned {}", answer["link"].as_str().unwrap()));
    assert!(pair.near.xdp("near0").is_some());
    drop(lock);
    unload(&other.target());
    assert_eq!(pair.near.xdp("near0"), None);
    assert!(!std::path::Path::new(answer["link"].as_str().unwrap()).exists());
}
