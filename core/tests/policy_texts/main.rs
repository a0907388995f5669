//! Arbitrary and mutated policy texts: no panic, no hang; what is taken prints, formats and resolves as it should.
//!
//! `XDPILOT_FUZZ_INPUTS` says how many inputs, `XDPILOT_FUZZ_SEED` where their random numbers begin,
//! `XDPILOT_FUZZ_TEXTS` names a file whose lines are further filter expressions to begin with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod check;
mod texts;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use texts::{Random, Texts};

const DEFAULT_INPUTS: u64 = 100_000;
/// Beyond this an input hangs; slow machines under load stay far below.
const PATIENCE: Duration = Duration::from_secs(300);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Why this text fails, if it does; and whether it is a policy.
fn run(text: &str) -> Result<bool, String> {
    catch_unwind(AssertUnwindSafe(|| check::pipeline(text))).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        words.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_else(|| "panic".into())
    })
}

/// Takes out lines and then characters as long as the text still fails.
fn minimise(text: &str) -> String {
    let mut small: Vec<char> = text.chars().collect();
    let mut step = small.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at < small.len() {
            let mut shorter = small.clone();
            shorter.drain(at..(at + step).min(small.len()));
            if run(&shorter.iter().collect::<String>()).is_err() {
                small = shorter;
            } else {
                at += step;
            }
        }
        step /= 2;
    }
    small.into_iter().collect()
}

fn work(inputs: u64, seed: u64, current: &Mutex<String>, progress: &Sender<()>) -> u64 {
    let texts = Texts::new();
    let mut random = Random(seed);
    let mut taken = 0;
    for (number, text) in texts.whole().into_iter().enumerate() {
        assert_eq!(run(&text).map(|_| ()), Ok(()), "text {number} as it is: {text}");
    }
    for number in 0..inputs {
        let text = texts.next(&mut random);
        if number % 64 == 0 {
            progress.send(()).expect("the watcher waits");
        }
        current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&text);
        match run(&text) {
            Ok(is_policy) => taken += u64::from(is_policy),
            Err(why) => {
                std::panic::set_hook(Box::new(|_| {}));
                let small = minimise(&text);
                _ = std::panic::take_hook();
                panic!("input {number} of seed {seed}: {why}\n{small:?}");
            }
        }
    }
    taken
}

#[test]
fn texts_are_policies_or_refused() {
    let (inputs, seed) = (number("XDPILOT_FUZZ_INPUTS", DEFAULT_INPUTS), number("XDPILOT_FUZZ_SEED", 1));
    let current = Arc::new(Mutex::new(String::new()));
    let (progress, watcher) = channel();
    let start = Instant::now();
    let in_work = Arc::clone(&current);
    let worker = std::thread::spawn(move || work(inputs, seed, &in_work, &progress));
    loop {
        match watcher.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                panic!("an input of seed {seed} hangs: {:?}", current.lock().unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
    match worker.join() {
        Ok(taken) => {
            println!("{inputs} inputs of seed {seed}, {taken} of them policies, in {:?}", start.elapsed());
            assert!(inputs < DEFAULT_INPUTS || taken > inputs / 20, "only {taken} of {inputs} are policies");
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
