//! Native, generic, offload: what is asked for, what is got, and why.

use xdpilot_kernel::configure;

use crate::command::{ends, load, unload};
use crate::net::{FAR, PATIENCE, Pair, arrives};
use crate::programs::example;

#[test]
fn root_the_mode_that_is_asked_for_is_got() {
    let pair = Pair::new();
    for (mode, number) in [("native", 1), ("generic", 2), ("auto", 1)] {
        let answer = load(&example("dropper"), &pair.target(), &["--mode", mode]);
        assert_eq!(pair.xdp().unwrap().0, number);
        assert_eq!(answer["mode"], if number == 1 { "native" } else { "generic" });
        pair.assert_dropped();
        unload(&pair.target());
    }
}

#[test]
fn root_another_mode_is_refused_while_a_program_stands() {
    let pair = Pair::new();
    let object = example("udp");
    let target = pair.target();
    load(&example("dropper"), &target, &["--mode", "generic"]);
    let before = pair.xdp();
    let ran = ends(2, &["load", object.to_str().unwrap(), "--on", &target, "--mode", "native", "--replace"]);
    assert!(ran.err.contains("generic mode") && ran.err.contains(&format!("xdpilot unload --on {target}")), "{ran:?}");
    ends(1, &["load", object.to_str().unwrap(), "--on", &target, "--mode", "native"]);
    assert_eq!(pair.xdp(), before);
    load(&object, &target, &["--replace"]);
    assert_eq!(pair.xdp().unwrap().0, 2, "a replacement keeps the mode");
    unload(&target);
}

#[test]
fn root_auto_says_why_a_bridge_gets_generic_mode() {
    let pair = Pair::new();
    pair.far.run(|| configure::create_bridge("br0")).unwrap();
    let target = pair.far.target("br0");
    let answer = load(&example("dropper"), &target, &[]);
    assert_eq!(answer["mode"], "generic");
    assert_eq!(pair.far.xdp("br0").unwrap().0, 2);
    let notes = answer["notes"].to_string();
    assert!(notes.contains("native mode was refused (") && notes.contains("native"), "{notes}");
    unload(&target);
    let object = example("dropper");
    let ran = ends(1, &["load", object.to_str().unwrap(), "--on", &target, "--mode", "native"]);
    assert!(ran.err.contains("cause: ") && ran.err.contains("generic"), "{ran:?}");
    assert_eq!(pair.far.xdp("br0"), None);
}

#[test]
fn root_auto_says_why_a_large_peer_mtu_gets_generic_mode() {
    let pair = Pair::with_mtu(9000);
    let answer = load(&example("udp"), &pair.target(), &[]);
    assert_eq!(answer["mode"], "generic");
    assert!(answer["notes"].to_string().contains("MTU is too large"), "{answer}");
    pair.assert_dropped();
    unload(&pair.target());
    assert!(arrives(&pair.near, &pair.far, FAR, PATIENCE));
}

#[test]
fn root_offload_without_hardware_is_explained() {
    let pair = Pair::new();
    let object = example("dropper");
    let ran = ends(1, &["load", object.to_str().unwrap(), "--on", &pair.target(), "--mode", "offload"]);
    assert!(ran.err.contains("offload") && ran.err.contains("cause: ") && ran.err.contains("mend: "), "{ran:?}");
    assert_eq!(pair.xdp(), None);
}
