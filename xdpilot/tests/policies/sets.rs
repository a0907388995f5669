//! Sets of a loaded policy are changed in place.

use serde_json::Value;

use crate::command::{done, ends, unload};
use crate::net::Pair;
use crate::traffic::{FIRST, Files, NEAR6, OTHER, hits, pair, policy, udp_arrives, udp_is_dropped};

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

/// 100,000 addresses, and prefixes of both families; none is the sender's.
fn many() -> String {
    let addresses = (0..100_000u32).map(|at| format!("172.{}.{}.{}\n", 16 + (at >> 16), at >> 8 & 255, at & 255));
    let prefixes = (0..1000)
        .map(|at| format!("2001:db8:{at:x}::/48\n2001:db8:{at:x}::/64 198.{}.{}.0/24\n", 18 + at / 256, at % 256));
    addresses.chain(prefixes).collect()
}

const FROM_FILE: &str = "
set blocked = file \"blocked.txt\"
count seen when udp
drop when src in blocked or dst in blocked
";

#[test]
fn root_a_hundred_thousand_elements_are_loaded_changed_and_replaced() {
    let (pair, files) = (pair(), Files::new(FROM_FILE));
    files.write("blocked.txt", &many());
    let on = pair.target();
    let ran = done(&["load", &files.policy(), "--on", &on]);
    assert!(ran.err.contains("note: the IPv4 addresses of set blocked take "), "{ran:?}");
    let before = pair.xdp();
    udp_arrives(&pair, FIRST, 4000);
    udp_arrives(&pair, NEAR6, 4000);
    let count = || policy(&on, "native")["sets"][0]["elements"].as_u64().unwrap();
    assert_eq!(count(), 103_000);
    done(&["set", "add", "blocked", FIRST, "fd00::/64", "10.0.0.0/8", "--on", &on]);
    udp_is_dropped(&pair, FIRST, 4000);
    udp_is_dropped(&pair, NEAR6, 4000);
    let ran = done(&["set", "del", "blocked", "10.0.0.0/8", "--on", &on]);
    assert!(ran.out.contains("1 removed"), "{ran:?}");
    udp_is_dropped(&pair, FIRST, 4000);
    udp_arrives(&pair, OTHER, 4000);
    let elements = listed(&pair, "blocked");
    assert_eq!(elements.len(), 103_002);
    assert!(elements.contains(&"fd00::/64".to_string()) && elements.contains(&"198.18.9.0/24".to_string()));
    files.write("other.txt", &format!("{OTHER} # the other one\n"));
    let other = files.path("other.txt");
    let ran = done(&["set", "replace", "blocked", other.to_str().unwrap(), "--on", &on]);
    assert_eq!(ran.out, format!("{on}: blocked had 103002 elements, and has 1\n"));
    udp_arrives(&pair, FIRST, 4000);
    udp_is_dropped(&pair, OTHER, 4000);
    assert_eq!(listed(&pair, "blocked"), [OTHER]);
    // The program stayed, and its counters.
    assert_eq!(pair.xdp(), before);
    assert!(hits(&on)[0] >= 8);
    unload(&on);
}

#[test]
fn root_a_small_set_is_replaced_by_a_large_one() {
    let (pair, files) = loaded();
    let on = pair.target();
    files.write("many.txt", &(many() + FIRST));
    let many = files.path("many.txt");
    let ran = done(&["set", "replace", "blocked", many.to_str().unwrap(), "--on", &on]);
    assert_eq!(ran.out, format!("{on}: blocked had 1 elements, and has 103001\n"));
    assert!(ran.err.contains("loaded anew it would find so many IPv4 addresses sooner"), "{ran:?}");
    files.write("ports.txt", &format!("80 {FIRST}\n"));
    let ports = files.path("ports.txt");
    let ran = done(&["set", "replace", "blocked", ports.to_str().unwrap(), "--on", &on]);
    assert!(ran.err.contains("1 elements are of kinds that no rule"), "{ran:?}");
    udp_is_dropped(&pair, FIRST, 4000);
    let absent = files.path("absent.txt");
    let ran = ends(2, &["set", "replace", "blocked", absent.to_str().unwrap(), "--on", &on]);
    assert!(ran.err.contains("there is no such file in") && !ran.err.contains("programs"), "{ran:?}");
    udp_is_dropped(&pair, FIRST, 4000);
    unload(&on);
}

const TUPLES: &str = "
set doors = { 10.0.0.2 . udp . 4000, fd00::2 . udp . 4000 }
set pairs = { 10.0.0.1 . 4001, 10.0.0.9 }
drop when dst . proto . dst port in doors
drop when src . udp dst port in pairs
";

#[test]
fn root_tuples_are_added_removed_and_replaced() {
    let (pair, files) = (pair(), Files::new(TUPLES));
    let on = pair.target();
    done(&["load", &files.policy(), "--on", &on]);
    let before = pair.xdp();
    udp_is_dropped(&pair, FIRST, 4000);
    udp_is_dropped(&pair, NEAR6, 4000);
    udp_is_dropped(&pair, FIRST, 4001);
    udp_arrives(&pair, OTHER, 4001);
    let ran = done(&["set", "add", "pairs", "10.0.0.9 . 4001", "10.0.0.1", ".", "4002", "--on", &on]);
    assert_eq!(ran.out, format!("{on}: 2 added to pairs\n"));
    udp_is_dropped(&pair, OTHER, 4001);
    udp_is_dropped(&pair, FIRST, 4002);
    assert_eq!(listed(&pair, "pairs"), ["10.0.0.1 . 4001", "10.0.0.1 . 4002", "10.0.0.9 . 4001"]);
    done(&["set", "del", "doors", "10.0.0.2 . udp . 4000", "--on", &on]);
    udp_arrives(&pair, FIRST, 4000);
    udp_is_dropped(&pair, NEAR6, 4000);
    assert_eq!(listed(&pair, "doors"), ["fd00::2 . udp . 4000"]);
    files.write(
        "doors.txt",
        "10.0.0.2 . udp . 4003, 10.0.0.2 . proto 17 . 4004 # both\n10.0.0.2 . tcp . 4000\n10.0.0.2 . 80\n",
    );
    let ran = done(&["set", "replace", "doors", files.path("doors.txt").to_str().unwrap(), "--on", &on]);
    assert_eq!(ran.out, format!("{on}: doors had 1 elements, and has 3\n"));
    assert!(ran.err.contains("1 elements are of kinds that no rule"), "{ran:?}");
    udp_is_dropped(&pair, FIRST, 4003);
    udp_is_dropped(&pair, FIRST, 4004);
    udp_arrives(&pair, NEAR6, 4000);
    assert_eq!(policy(&on, "native")["sets"][0], serde_json::json!({"name": "doors", "elements": 3}));
    assert_eq!(pair.xdp(), before);
    let kind = ends(2, &["set", "add", "doors", "10.0.0.2 . 80", "--on", &on]).err;
    assert!(kind.contains("10.0.0.2 . 80 in set doors"), "{kind}");
    assert!(kind.contains("for tuples (IPv4 address . protocol . port)"), "{kind}");
    let prefix = ends(2, &["set", "add", "pairs", "10.0.0.0/8 . 80", "--on", &on]).err;
    assert!(prefix.contains("10.0.0.0/8 in a tuple is no single address"), "{prefix}");
    unload(&on);
}

/// Each set has one of the two addresses of the sender, so that of two packets from both one is dropped at any time, and
/// one is not: a rule that asks twice tells of packets that see parts of both.
#[test]
fn root_no_packet_sees_parts_of_two_sets() {
    let text = "
set blocked = file \"blocked.txt\"
count first  when udp and src host 10.0.0.1 and src in blocked
count other  when udp and src host 10.0.0.1 and not src in blocked
count both   when udp and src in blocked and not src in blocked
count none   when udp and not (src in blocked or not src in blocked)
drop when udp dst port 4000
";
    let (pair, files) = (pair(), Files::new(text));
    assert_eq!(FIRST, "10.0.0.1");
    files.write("blocked.txt", &(many() + FIRST));
    files.write("other.txt", &(many() + OTHER));
    let on = pair.target();
    done(&["load", &files.policy(), "--on", &on]);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let stream = scope.spawn(|| {
            pair.near.run(|| {
                let socket = std::net::UdpSocket::bind((FIRST, 0)).unwrap();
                let mut sent = 0u64;
                while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                    sent += u64::from(socket.send_to(b"x", (crate::net::FAR, 4000)).is_ok());
                }
                sent
            })
        });
        for round in 0..8 {
            let name = if round % 2 == 0 { "other.txt" } else { "blocked.txt" };
            done(&["set", "replace", "blocked", files.path(name).to_str().unwrap(), "--on", &on]);
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        stream.join().unwrap()
    });
    std::thread::sleep(std::time::Duration::from_millis(200));
    let hits = hits(&on);
    assert_eq!((hits[2], hits[3]), (0, 0), "{hits:?}");
    assert!(hits[0] > 0 && hits[1] > 0 && hits[0] + hits[1] <= sent && sent > 1000, "{sent} sent, {hits:?}");
    unload(&on);
}
