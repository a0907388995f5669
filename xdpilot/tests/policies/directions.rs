//! Packets that leave.

use crate::command::{done, ends, json, unload};
use crate::net::{FAR, LOST, NEAR, PATIENCE};
use crate::traffic::{FIRST, load, pair, policy, udp_arrives, udp_is_dropped, udp_within};

#[test]
fn root_both_directions_of_an_interface_have_a_policy_each() {
    let pair = pair();
    let on = pair.target();
    let egress = |policy: &str, more: &[&str]| {
        json(&[&["load", "-e", policy, "--on", &on, "--direction", "egress"], more].concat()).remove(0)
    };
    let leaves = |port: u16, patience| udp_within((&pair.far, FAR, 0), (&pair.near, NEAR, port), patience);
    load(&pair, "drop when udp dst port 53");
    let answer = egress("drop when udp dst port 54", &[]);
    assert_eq!((&answer["mode"], &answer["counted"]), (&"egress".into(), &false.into()));
    udp_is_dropped(&pair, FIRST, 53);
    udp_arrives(&pair, FIRST, 54);
    assert!(leaves(53, PATIENCE) && !leaves(54, LOST));
    assert_eq!(policy(&on, "egress")["rules"][0]["packets"], 1);
    assert_eq!(policy(&on, "native")["rules"][0]["packets"], 1);

    let ran = ends(1, &["load", "-e", "drop", "--on", &on, "--direction", "egress"]);
    assert!(ran.err.contains("stands there in egress mode"), "{ran:?}");
    let replaced = egress("drop when udp dst port 55", &["--replace"]);
    assert_eq!(replaced["replaced"], answer["id"]);
    assert!(leaves(54, PATIENCE) && !leaves(55, LOST));

    done(&["unload", "--on", &on, "--direction", "egress"]);
    assert!(leaves(55, PATIENCE));
    udp_is_dropped(&pair, FIRST, 53);
    egress("drop when udp dst port 54", &[]);
    let ran = unload(&on);
    assert!(ran.out.contains("native mode") && ran.out.contains("egress mode"), "{ran:?}");
    udp_arrives(&pair, FIRST, 53);
    assert!(leaves(54, PATIENCE));
}
