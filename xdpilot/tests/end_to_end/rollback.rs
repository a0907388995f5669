//! A command that fails leaves everything as it was.

use xdpilot_kernel::{configure, pins};

use crate::command::{ends, id, load, unload, xdpilot};
use crate::net::{Pair, unique};
use crate::programs::{REFUSED, build, example, pinning_dropper};

#[test]
fn root_a_program_that_the_verifier_refuses_changes_nothing() {
    let pair = Pair::new();
    let target = pair.target();
    let refused = build(REFUSED);
    let refused = refused.path.to_str().unwrap();
    let ran = ends(1, &["load", refused, "--on", &target]);
    assert!(ran.err.contains("invalid access to packet"), "{ran:?}");
    assert_eq!(pair.xdp(), None);
    pair.assert_flows();

    let before = load(&example("dropper"), &target, &[]);
    ends(1, &["load", refused, "--on", &target, "--replace"]);
    assert_eq!(pair.xdp(), Some((1, id(&before))));
    pair.assert_dropped();
    unload(&target);
}

/// A second place that refuses native mode.
fn bridge(pair: &Pair) -> String {
    pair.far.run(|| configure::create_bridge("br0")).unwrap();
    pair.far.target("br0")
}

#[test]
fn root_a_refusal_at_the_second_place_takes_the_first_back() {
    let pair = Pair::new();
    let (first, second) = (pair.target(), bridge(&pair));
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let object = object.path.to_str().unwrap();
    ends(1, &["load", object, "--on", &first, "--on", &second, "--mode", "native"]);
    assert_eq!((pair.xdp(), pair.far.xdp("br0")), (None, None));
    assert!(!std::fs::exists(format!("/sys/fs/bpf/tc/globals/{name}")).unwrap());
    pair.assert_flows();
}

#[test]
fn root_a_refusal_at_the_second_place_puts_the_replaced_program_back() {
    let pair = Pair::new();
    let (first, second) = (pair.target(), bridge(&pair));
    let before = load(&example("dropper"), &first, &[]);
    let object = example("bounce");
    ends(1, &["load", object.to_str().unwrap(), "--on", &first, "--on", &second, "--mode", "native", "--replace"]);
    assert_eq!((pair.xdp(), pair.far.xdp("br0")), (Some((1, id(&before))), None));
    assert_eq!(pair.near.xdp("near0"), None, "a companion of the program that went again");
    pair.assert_dropped();
    unload(&first);
    assert!(!std::path::Path::new(before["link"].as_str().unwrap()).exists());
}

#[test]
fn root_a_second_place_that_is_taken_leaves_the_first_untouched() {
    let (one, two) = (Pair::new(), Pair::new());
    let taken = load(&example("udp"), &two.target(), &[]);
    let object = example("dropper");
    ends(1, &["load", object.to_str().unwrap(), "--on", &one.target(), "--on", &two.target()]);
    assert_eq!((one.xdp(), two.xdp()), (None, Some((1, id(&taken)))));
    unload(&two.target());
}

#[test]
fn root_a_pin_that_cannot_be_made_takes_the_program_off_again() {
    let pair = Pair::new();
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    // A link that leads nowhere: nothing is pinned there, and nothing can be.
    let pin = std::path::Path::new("/sys/fs/bpf/tc/globals").join(&name);
    let lock = pins::lock(|| {}).unwrap();
    std::fs::create_dir_all(pin.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("nowhere", &pin).unwrap();
    drop(lock);
    let ran = xdpilot(&["load", object.path.to_str().unwrap(), "--on", &pair.target()]);
    std::fs::remove_file(&pin).unwrap();
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains(&name), "{ran:?}");
    assert_eq!((pair.xdp(), pair.near.xdp("near0")), (None, None));
    pair.assert_flows();
}
