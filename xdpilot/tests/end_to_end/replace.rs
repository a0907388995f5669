//! Replacing leaves no gap, whoever put the program there.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::command::{id, load, tool, unload};
use crate::net::{FAR, Pair, socket};
use crate::programs::example;

/// The id of the link pinned there.
fn link_id(answer: &Value) -> u64 {
    let shown = tool(&format!("bpftool -j link show pinned {}", answer["link"].as_str().unwrap()));
    serde_json::from_str::<Value>(&shown).unwrap()["id"].as_u64().unwrap()
}

/// Sends datagrams without pause while `work` is done; all of them must be dropped, and one sent afterwards without
/// a program must arrive.
fn none_comes_through(pair: &Pair, work: impl FnOnce()) {
    let receiver = socket(&pair.far, FAR);
    receiver.set_nonblocking(true).unwrap();
    let (sender, address) = (socket(&pair.near, "0.0.0.0"), receiver.local_addr().unwrap());
    let done = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let stream = scope.spawn(|| {
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                sender.send_to(b"hello", address).unwrap();
                sent += 1;
                // The work shares the processors with the stream.
                thread::sleep(Duration::from_micros(50));
            }
            sent
        });
        work();
        done.store(true, Ordering::Relaxed);
        stream.join().unwrap()
    });
    assert!(sent > 1000, "only {sent} datagrams were sent");
    assert_eq!(receiver.recv(&mut [0; 16]).unwrap_err().kind(), ErrorKind::WouldBlock, "an unfiltered packet");
}

#[test]
fn root_two_hundred_replacements_by_the_link_let_nothing_through() {
    let pair = Pair::new();
    let target = pair.target();
    let first = load(&example("dropper"), &target, &[]);
    let link = link_id(&first);
    none_comes_through(&pair, || {
        let mut last = id(&first);
        for turn in 0..200 {
            let object = example(if turn % 2 == 0 { "udp" } else { "dropper" });
            let answer = load(&object, &target, &["--replace"]);
            assert_eq!(answer["replaced"], last);
            assert_ne!(id(&answer), last);
            assert_eq!(answer["link"], first["link"]);
            last = id(&answer);
        }
        assert_eq!(pair.xdp(), Some((1, last)));
    });
    assert_eq!(link, link_id(&first));
    unload(&target);
    pair.assert_flows();
}

#[test]
fn root_a_program_attached_by_ip_is_replaced_without_a_gap_in_its_mode() {
    for (word, mode, name) in [("xdpdrv", 1, "native"), ("xdpgeneric", 2, "generic")] {
        let pair = Pair::new();
        let object = example("udp");
        tool(&format!("ip -n {} link set dev eth0 {word} obj {} sec xdp", pair.far.name, object.display()));
        let (_, theirs) = pair.xdp().unwrap();
        none_comes_through(&pair, || {
            let mut last = theirs;
            for _ in 0..20 {
                let answer = load(&example("dropper"), &pair.target(), &["--replace"]);
                assert_eq!((&answer["replaced"], &answer["mode"]), (&last.into(), &name.into()));
                assert!(answer["link"].is_null());
                last = id(&answer);
            }
            assert_eq!(pair.xdp(), Some((mode, last)));
        });
        unload(&pair.target());
        assert_eq!(pair.xdp(), None);
        pair.assert_flows();
    }
}
