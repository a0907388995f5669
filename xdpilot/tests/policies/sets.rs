//! Sets of a loaded policy are changed in place.

use serde_json::Value;

use crate::command::{done, ends, unload};
use crate::net::Pair;
use crate::traffic::{FIRST, Files, NEAR6, OTHER, pair, policy, udp_arrives, udp_is_dropped};

const POLICY: &str = "
set blocked = { 192.0.2.0/24 }
set services = { 53, 8000-8010 }
drop when src in blocked
drop when udp dst port in services
";

fn loaded() -> (Pair, Files) {
    let (pair, files) = (pair(), Files::new(POLICY));
    done(&["load", &files.policy(), "--on", &pair.target()]);
    (pair, files)
}

/// The elements of a set, by `set list --json`.
fn listed(pair: &Pair, set: &str) -> Vec<String> {
    let listed = done(&["set", "list", set, "--on", &pair.target(), "--json"]);
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    let text = |element: &Value| element.as_str().unwrap().to_string();
    listed["sets"][0]["elements"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn root_an_element_takes_effect_at_once_and_none_is_reloaded() {
    let (pair, _files) = loaded();
    let before = pair.xdp();
    udp_arrives(&pair, FIRST, 4000);
    let ran = done(&["set", "add", "blocked", FIRST, "fd00::/64", "--on", &pair.target()]);
    assert_eq!(ran.out, format!("{}: 2 added to blocked\n", pair.target()));
    udp_is_dropped(&pair, FIRST, 4000);
    udp_is_dropped(&pair, NEAR6, 4000);
    udp_arrives(&pair, OTHER, 4000);
    assert_eq!(listed(&pair, "blocked"), [FIRST, "192.0.2.0/24", "fd00::/64"]);
    assert_eq!(policy(&pair.target(), "native")["sets"][0], serde_json::json!({"name": "blocked", "elements": 3}));
    done(&["set", "del", "blocked", FIRST, "--on", &pair.target()]);
    udp_arrives(&pair, FIRST, 4000);
    assert_eq!(pair.xdp(), before);
    unload(&pair.target());
}

#[test]
fn root_ports_are_added_and_removed_as_ranges() {
    let (pair, _files) = loaded();
    udp_is_dropped(&pair, FIRST, 8005);
    let ran = done(&["set", "del", "services", "8005", "9000", "--on", &pair.target()]);
    assert_eq!(ran.out, format!("{}: 1 removed from services\n", pair.target()));
    udp_arrives(&pair, FIRST, 8005);
    done(&["set", "add", "services", "http", "8011-8020", "--on", &pair.target()]);
    assert_eq!(listed(&pair, "services"), ["53", "80", "8000-8004", "8006-8020"]);
    udp_is_dropped(&pair, FIRST, 80);
    unload(&pair.target());
}

#[test]
fn root_mistakes_are_told_with_what_is_near() {
    let (pair, _files) = loaded();
    let on = pair.target();
    let wrong = |set: &str, element: &str| ends(2, &["set", "add", set, element, "--on", &on]).err;
    let name = wrong("blokced", FIRST);
    assert!(name.contains("no loaded policy has a set blokced") && name.contains("did you mean blocked?"), "{name}");
    let kind = wrong("blocked", "80");
    assert!(kind.contains("80 in set blocked") && kind.contains("not for ports"), "{kind}");
    let element = wrong("blocked", "10.0.0.300");
    assert!(element.contains("10.0.0.300"), "{element}");
    done(&["set", "add", "blocked", "10.0.0.0/8", "--on", &on]);
    let ran = done(&["set", "del", "blocked", "10.1.0.0/16", "--on", &on]);
    assert!(
        ran.out.contains("0 removed") && ran.err.contains("a wider prefix of blocked holds 10.1.0.0/16"),
        "{ran:?}"
    );
    unload(&on);
    assert!(wrong("blocked", FIRST).contains("no policy is loaded there"));
}
