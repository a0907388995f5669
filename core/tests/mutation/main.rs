//! Mutated objects through the whole pure pipeline: no panic, no hang, no memory beyond a small multiple of
//! the input, and what was accepted reads back as it was written.
//!
//! `XDPILOT_FUZZ_INPUTS` says how many inputs, `XDPILOT_FUZZ_SEED` where their random numbers begin,
//! `XDPILOT_FUZZ_SEEDS` names a folder of more objects to mutate.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod check;
mod huge;
mod mutate;
mod random;
mod seeds;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use random::Random;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const DEFAULT_INPUTS: u64 = 200_000;
/// Beyond this an input hangs; slow machines under load stay far below.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most memory that an input may take.
const MEMORY_FACTOR: usize = 64;
const MEMORY_BASE: usize = 1 << 20;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// Why this input fails; none where it is well.
fn failure(input: &[u8], choice: u64) -> Option<String> {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let caught = catch_unwind(AssertUnwindSafe(|| check::pipeline(input, Random(choice))));
    let (used, limit) = (MEMORY.peak_usage() - before, input.len() * MEMORY_FACTOR + MEMORY_BASE);
    match caught {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Some(text.unwrap_or_else(|| "panic".into()))
        }
        Ok(()) if used > limit => Some(format!("{used} bytes of memory for {} bytes of input", input.len())),
        Ok(()) => None,
    }
}

/// Cuts and clears parts of a failing input as long as it still fails.
fn minimise(mut input: Vec<u8>, choice: u64) -> Vec<u8> {
    let mut step = input.len() / 2;
    while step > 0 {
        let mut at = input.len();
        while at > 0 {
            let from = at.saturating_sub(step);
            let mut cut = input.clone();
            cut.truncate(from);
            let mut cleared = input.clone();
            cleared[from..at].fill(0);
            if at == input.len() && failure(&cut, choice).is_some() {
                input = cut;
            } else if cleared != input && failure(&cleared, choice).is_some() {
                input = cleared;
            }
            at = from;
        }
        step /= 2;
    }
    input
}

fn reproducer(input: &[u8]) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let path = folder.join(format!("mutation-{}.o", std::process::id()));
    std::fs::write(&path, input).expect("write the reproducer");
    path
}

/// Seeds as they are, and inputs that once failed. Part of the one test, since it measures the process's memory.
fn whole_seeds_pass() {
    for (name, bytes) in seeds::named() {
        assert!(name.ends_with("raw") || check::accepted(&bytes), "seed {name} is refused");
    }
    for (name, bytes) in seeds::named().into_iter().chain(seeds::found()) {
        for choice in 0..64 {
            assert_eq!(failure(&bytes, choice), None, "{name}, choice {choice}");
        }
    }
    for (name, bytes) in huge::all() {
        let start = Instant::now();
        for choice in 0..4 {
            assert_eq!(failure(&bytes, choice), None, "{name}, choice {choice}");
        }
        assert!(start.elapsed() < PATIENCE, "{name} takes {:?}", start.elapsed());
    }
}

/// Runs the inputs; tells the watcher of its progress, and of the input in work.
fn work(inputs: u64, seed: u64, current: &Mutex<Vec<u8>>, progress: &Sender<()>) {
    let seeds = seeds::all();
    whole_seeds_pass();
    let mut random = Random(seed);
    for number in 0..inputs {
        let input = mutate::mutate(&seeds, &mut random);
        let choice = random.next();
        if number % 64 == 0 {
            progress.send(()).expect("the watcher waits");
        }
        current.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
        if let Some(why) = failure(&input, choice) {
            std::panic::set_hook(Box::new(|_| {}));
            let small = minimise(input.clone(), choice);
            _ = std::panic::take_hook();
            let path = reproducer(&small);
            panic!("input {number} of seed {seed}, choice {choice}: {why}\nreproducer: {}", path.display());
        }
    }
}

#[test]
fn mutated_objects_are_read_or_refused() {
    let (inputs, seed) = (number("XDPILOT_FUZZ_INPUTS", DEFAULT_INPUTS), number("XDPILOT_FUZZ_SEED", 1));
    let current = Arc::new(Mutex::new(Vec::new()));
    let (progress, watcher) = channel();
    let start = Instant::now();
    let in_work = Arc::clone(&current);
    let worker = std::thread::spawn(move || work(inputs, seed, &in_work, &progress));
    loop {
        match watcher.recv_timeout(PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let path = reproducer(&current.lock().unwrap_or_else(PoisonError::into_inner));
                panic!("an input of seed {seed} hangs: {}", path.display());
            }
        }
    }
    if let Err(panic) = worker.join() {
        std::panic::resume_unwind(panic);
    }
    println!("{inputs} inputs of seed {seed} in {:.1} s", start.elapsed().as_secs_f64());
}
