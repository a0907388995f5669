//! `load --keep` follows the files of a policy.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::command::XDPILOT;
use crate::keeper::Keeper;
use crate::net::Pair;
use crate::traffic::{FIRST, Files, OTHER, hits, pair, policy, udp_arrives, udp_is_dropped};

/// Keeps the files' policy where the pair is filtered.
fn keep(pair: &Pair, files: &Files) -> Keeper {
    Keeper::start(&files.policy(), &pair.target())
}

const POLICY: &str = "
set blocked = file \"blocked.txt\"
drop when src in blocked
drop when udp dst port 53
";

#[test]
fn root_files_are_followed_and_all_is_taken_off_at_the_end() {
    let (pair, files) = (pair(), Files::new(POLICY));
    files.write("blocked.txt", "192.0.2.1\n192.0.2.2\n");
    let keeper = keep(&pair, &files);
    udp_arrives(&pair, FIRST, 4000);
    udp_is_dropped(&pair, FIRST, 53);
    let loaded = pair.xdp();

    files.write("blocked.txt", "192.0.2.1\n10.0.0.1 # the sender\n10.0.0.0/30");
    assert_eq!(keeper.says(), format!("{}: set blocked: +2 -1", pair.target()));
    udp_is_dropped(&pair, FIRST, 4000);
    files.exchange("blocked.txt", "");
    assert_eq!(keeper.says(), format!("{}: set blocked: +0 -3", pair.target()));
    udp_arrives(&pair, FIRST, 4000);
    assert_eq!(pair.xdp(), loaded, "elements need no new program");

    files
        .exchange("edge.xdp", &POLICY.replace("dst port 53", "dst port 54").replace("drop when src", "drop when  src"));
    assert_eq!(keeper.says(), "policy: 1 rule added, 1 removed");
    udp_arrives(&pair, FIRST, 53);
    udp_is_dropped(&pair, FIRST, 54);
    let told = keeper.end(Signal::SIGTERM);
    assert!(told.contains("taken off"), "{told}");
    assert_eq!(pair.xdp(), None);
}

#[test]
fn root_it_ends_when_nobody_reads_what_it_says() {
    let (pair, files) = (pair(), Files::new("drop when udp dst port 53"));
    let mut command = Command::new(XDPILOT);
    command.args(["load", &files.policy(), "--on", &pair.target(), "--keep"]).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    assert!(pair.xdp().is_some());
    drop(reader);
    assert!(child.wait().unwrap().success());
    assert_eq!(pair.xdp(), None);
}

#[test]
fn root_what_is_wrong_is_told_and_the_policy_before_it_stays() {
    let (pair, files) = (pair(), Files::new("drop when udp dst port 53"));
    let keeper = keep(&pair, &files);
    let loaded = pair.xdp();
    files.write("edge.xdp", "frop when udp");
    assert!(keeper.complains().contains("edge.xdp:1:1: "));
    assert!(keeper.complains().contains("frop when udp"));
    let caret = keeper.complains();
    assert!(caret.contains("^^^^") && caret.contains("drop"), "{caret}");
    assert_eq!(pair.xdp(), loaded);
    udp_is_dropped(&pair, FIRST, 53);
    keeper.end(Signal::SIGINT);
    assert_eq!(pair.xdp(), None);
}

#[test]
fn root_samples_are_shown_and_hits_of_rules_that_stay_are_kept() {
    let policy = "sample 1/1 when udp dst port 4000; count all when udp dst port 4000";
    let (pair, files) = (pair(), Files::new(policy));
    let keeper = keep(&pair, &files);
    udp_arrives(&pair, OTHER, 4000);
    let said = keeper.says();
    assert!(said.contains("udp 10.0.0.9:") && said.contains("10.0.0.2:4000") && said.contains("sample 1/1"), "{said}");
    files.exchange("edge.xdp", &format!("drop when udp dst port 9; {policy}"));
    assert_eq!(keeper.says(), "policy: 1 rule added, 0 removed");
    assert_eq!(hits(&pair.target())[..3], [0, 1, 1]);
    udp_arrives(&pair, FIRST, 4000);
    assert!(keeper.says().contains("udp 10.0.0.1:"));
    assert_eq!(hits(&pair.target())[..3], [0, 2, 2]);
    keeper.end(Signal::SIGTERM);
}

/// So many exact rules are one table, whose places have counters.
#[test]
fn root_hits_of_rules_in_a_large_table_are_counted_and_kept() {
    let lines = |ports: std::ops::Range<u16>| -> String {
        ports.map(|port| format!("drop when src host {FIRST} and udp dst port {port}\n")).collect()
    };
    let (pair, files) = (pair(), Files::new(&lines(4000..4700)));
    let keeper = keep(&pair, &files);
    udp_is_dropped(&pair, FIRST, 4001);
    udp_is_dropped(&pair, FIRST, 4699);
    udp_arrives(&pair, OTHER, 4001);
    let told = |place: usize, port: u16| {
        let rule = &policy(&pair.target(), "native")["rules"][place];
        assert_eq!((&rule["packets"], &rule["line"]), (&1.into(), &(place + 1).into()), "{port}: {rule}");
    };
    told(1, 4001);
    told(699, 4699);
    files.exchange("edge.xdp", &lines(3999..4700));
    assert_eq!(keeper.says(), "policy: 1 rule added, 0 removed");
    told(2, 4001);
    told(700, 4699);
    udp_is_dropped(&pair, FIRST, 4001);
    assert_eq!(hits(&pair.target())[..4], [0, 0, 2, 0]);
    keeper.end(Signal::SIGTERM);
}

#[test]
fn root_more_elements_than_there_is_room_for_are_loaded_anew() {
    let (pair, files) = (pair(), Files::new(POLICY));
    files.write("blocked.txt", "192.0.2.1");
    let keeper = keep(&pair, &files);
    udp_is_dropped(&pair, FIRST, 53);
    let many: String =
        (0..70_000u32).map(|at| format!("172.{}.{}.{}\n", 16 + (at >> 16), at >> 8 & 255, at & 255)).collect();
    files.exchange("blocked.txt", &(many.clone() + FIRST));
    assert_eq!(keeper.says(), "policy: loaded anew, with room for more elements");
    udp_is_dropped(&pair, FIRST, 4000);
    assert!(hits(&pair.target())[1] >= 1, "counters go on");
    files.exchange("blocked.txt", &(many + OTHER));
    assert_eq!(keeper.says(), format!("{}: set blocked: +1 -1", pair.target()));
    udp_arrives(&pair, FIRST, 4000);
    udp_is_dropped(&pair, OTHER, 4000);
    keeper.end(Signal::SIGTERM);
}
