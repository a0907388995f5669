//! Many connections: each is answered, also while the pool changes, and they are shared out as the weights say.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::command::{done, unload};
use crate::curl::pages;
use crate::net::PATIENCE;
use crate::network::ip;
use crate::world::{NAMES, SERVICE, World};

#[test]
fn root_ten_thousand_short_connections_are_all_answered() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    assert_eq!(pages(&world.client, SERVICE, 10_000).len(), 3);
    unload(&world.target());
}

/// What a backend of the pool is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serves,
    Drains,
    Gone,
}

/// The next change of a pool: the verb and what follows the backend, and what the backend does then. One backend at
/// least goes on serving.
fn change(states: &[State; 3], number: usize, turn: u32) -> (&'static str, Option<String>, State) {
    let others = (0..3).any(|other| other != number && states[other] == State::Serves);
    match states[number] {
        State::Serves if others && turn.is_multiple_of(2) => ("drain", None, State::Drains),
        State::Serves => ("weight", Some((1 + turn % 9).to_string()), State::Serves),
        State::Drains => ("remove", None, State::Gone),
        State::Gone => ("add", None, State::Serves),
    }
}

#[test]
fn root_no_request_is_lost_while_a_pool_changes() {
    let world = World::two_armed();
    world.load(&World::cats("nat", &world.backends(false)));
    let (changes, rounds) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        let requests = scope.spawn(|| {
            let mut answered = 0;
            while changes.load(Ordering::Acquire) < CHANGES {
                answered += pages(&world.client, SERVICE, 20).values().sum::<u32>();
                rounds.fetch_add(1, Ordering::Release);
            }
            answered
        });
        let mut states = [State::Serves; 3];
        for turn in 0..CHANGES {
            let number = (turn * 7 % 5 + turn) as usize % 3;
            let (verb, more, becomes) = change(&states, number, turn);
            if verb == "remove" {
                // What began before the drain is over.
                await_round(&rounds, 2);
            }
            let (name, on) = (world.backend(number), world.target());
            let mut words = vec!["pool", verb, "cats", &name];
            words.extend(more.as_deref());
            done(&[&words[..], &["--on", &on]].concat());
            states[number] = becomes;
            changes.fetch_add(1, Ordering::Release);
        }
        let answered = requests.join().expect("a request was lost");
        assert!(answered > CHANGES, "{answered} requests are no load");
    });
    unload(&world.target());
}

/// How often the pool changes under load.
const CHANGES: u32 = 50;

/// Waits until so many rounds of requests have ended.
fn await_round(rounds: &AtomicU32, count: u32) {
    let (until, deadline) = (rounds.load(Ordering::Acquire) + count, Instant::now() + PATIENCE);
    while rounds.load(Ordering::Acquire) < until {
        assert!(Instant::now() < deadline, "requests are not answered any more");
        thread::yield_now();
    }
}

/// Each flow is one datagram; what the backends were given is what the pool says, and what they got.
#[test]
fn root_flows_are_shared_out_as_the_weights_say() {
    const FLOWS: u32 = 100_000;
    let world = World::two_armed();
    let weights = [1, 2, 5];
    let lines: Vec<String> =
        world.backends(false).iter().zip(weights).map(|(line, weight)| format!("{line} weight {weight}")).collect();
    let text = World::cats("nat", &lines).replace("tcp dst port", "udp dst port");
    world.load(&text);
    let sources = ["192.0.2.11", "192.0.2.12"];
    sources.iter().for_each(|source| drop(ip(&world.client, &format!("addr add {source}/24 dev c0"))));
    world.client.run(|| {
        for (source, port) in
            sources.iter().flat_map(|source| (10_000..10_000 + FLOWS / 2).map(move |port| (source, port)))
        {
            let socket = UdpSocket::bind((*source, port as u16)).unwrap();
            socket.send_to(b"meow", (SERVICE, 80)).unwrap();
        }
    });
    let shown = done(&["pool", "show", "cats", "--on", &world.target(), "--json"]).out;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let given = |number: usize| shown["pools"][0]["backends"][number]["connections"].as_u64().unwrap() as f64;
    let all: f64 = (0..NAMES.len()).map(given).sum();
    assert!(all > 0.95 * f64::from(FLOWS), "only {all} flows arrived: {shown}");
    for (number, weight) in weights.into_iter().enumerate() {
        let fair = all * f64::from(weight) / f64::from(weights.iter().sum::<i32>());
        assert!((given(number) / fair - 1.0).abs() < 0.02, "{number} has {} of {fair} flows: {shown}", given(number));
    }
    unload(&world.target());
}
