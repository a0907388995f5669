//! How long a change takes. The bounds leave room for a busy machine and an unoptimised build: `make measure` measures.

use std::time::{Duration, Instant};

use crate::command::{done, unload};
use crate::traffic::{Files, pair};

/// The shortest of some times.
fn best(mut work: impl FnMut()) -> Duration {
    let times = (0..10).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed()
    });
    times.min().unwrap()
}

#[test]
fn root_a_hundred_rules_and_an_element_are_quick() {
    let rules: Vec<String> =
        (0..100).map(|n| format!("drop when src host 192.0.2.{n} and tcp dst port {}", 1000 + n)).collect();
    let (pair, files) =
        (pair(), Files::new(&format!("set quick = {{ 192.0.2.1 }}\n{}\ndrop when src in quick", rules.join("\n"))));
    let on = pair.target();
    let policy = files.policy();
    done(&["load", &policy, "--on", &on]);
    let load = best(|| drop(done(&["load", &policy, "--on", &on, "--replace"])));
    let element = best(|| drop(done(&["set", "add", "quick", "192.0.2.9"])));
    eprintln!("100 rules {load:?}, one element {element:?}");
    assert!(load < Duration::from_millis(300), "{load:?}");
    assert!(element < Duration::from_millis(30), "{element:?}");
    unload(&on);
}
