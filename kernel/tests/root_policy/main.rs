//! Random policies on random packets: what the kernel does equals what the evaluator says, in verdict, bytes, counters and
//! the states of limits; and every policy that compiles is accepted by the verifier. Needs root.
//!
//! `XDPILOT_PAIRS` (of a policy and a packet), `XDPILOT_SEED`, `XDPILOT_PACKETS` (for each policy), `XDPILOT_RULES` (the
//! most of a policy) and `XDPILOT_CROWD` (the most that are alike) make another run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod large;
mod packets;
mod policies;
mod random;
mod subject;

use random::Random;
use subject::Subject;
use xdpilot_core::emit::{Clock, Options};
use xdpilot_core::plan;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.replace('_', "").parse().expect(name))
}

/// Policies of more rules are not cut into functions of an instruction each, of which a program has at most 256.
const FEW: usize = 150;

/// All strategies, or any choice of them, none too.
fn options(random: &mut Random, seed: u64) -> Options {
    let on = random.below(10).min(7);
    let [dispatch, tables, classifiers] = [0, 1, 2].map(|strategy| on >> strategy & 1 == 1);
    let frags = random.below(2) == 0;
    let tables_from = if random.below(2) == 0 { 0 } else { Options::default().tables_from };
    let plan = plan::Options { dispatch, tables, classifiers };
    let part = [1, 200, Options::default().part][seed as usize % 3];
    Options { clock: Clock::Given, frags, tables_from, part, plan, ..Options::default() }
}

#[test]
fn the_kernel_does_what_the_evaluator_says() {
    let pairs = number("XDPILOT_PAIRS", 200_000);
    let first = number("XDPILOT_SEED", 1);
    // Counters after each packet rather than each policy: slow, to find what went wrong.
    let each = std::env::var_os("XDPILOT_EACH").is_some();
    let most = number("XDPILOT_RULES", 12) as usize;
    let packets = number("XDPILOT_PACKETS", 1000);
    let crowded = number("XDPILOT_CROWD", 200) as usize;
    let (mut done, mut seed) = (0, first);
    while done < pairs {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0001));
        let mut options = options(&mut random, seed);
        let rules = policies::policy(&mut random, most, crowded);
        if rules.rules.len() > FEW {
            options.part = Options::default().part;
        }
        let mut subject = Subject::new(&rules, &options, seed);
        for _ in 0..packets {
            let mut packet = packets::packet(&mut random);
            if !options.frags {
                packet.truncate(packets::ONE_BUFFER);
            }
            subject.compare(&packet, random.below(2_000_000) as u64);
            if each {
                subject.compare_counters(&packet);
            }
        }
        subject.compare_counters(&[]);
        done += packets;
        seed += 1;
    }
    println!("{done} pairs of {} policies, seeds {first} to {}: no difference", seed - first, seed - 1);
}
