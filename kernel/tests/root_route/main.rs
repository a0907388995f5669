//! Random histories of connections to random pools: what the kernel does with each packet equals what the evaluator says,
//! in fate, bytes, traffic of the backends and remembered connections. Needs root.
//!
//! `XDPILOT_PACKETS`, `XDPILOT_SEED` and `XDPILOT_EACH` (packets of a history) make another run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod history;
#[path = "../root_policy/packets.rs"]
mod packets;
mod pools;
#[path = "../root_policy/random.rs"]
mod random;
mod subject;

use random::Random;
use subject::Subject;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.replace('_', "").parse().expect(name))
}

#[test]
fn the_kernel_routes_as_the_evaluator_does() {
    let (packets, first) = (number("XDPILOT_PACKETS", 100_000), number("XDPILOT_SEED", 1));
    let each = number("XDPILOT_EACH", 2000);
    let (mut done, mut seed, mut fates, mut named, mut errors) = (0, first, [0; 4], 0, [0; 2]);
    while done < packets {
        let mut random = Random(seed.wrapping_mul(0x1_0000_0001));
        let rules = pools::rules(&mut random);
        let mut subject = Subject::new(&rules, seed, &mut random);
        for _ in 0..each {
            if random.once_in(100) {
                subject.change(&mut random);
            }
            let answer = if random.once_in(2) { subject.answer(&mut random) } else { None };
            let packet = answer.unwrap_or_else(|| history::packet(&mut random));
            let passed = if random.once_in(50) { random.below(400_000_000_000) } else { random.below(1_000_000_000) };
            subject.compare(&packet, passed as u64, &mut random);
        }
        subject.compare_state();
        fates.iter_mut().zip(subject.fates).for_each(|(all, these)| *all += these);
        named += subject.named;
        errors.iter_mut().zip(subject.errors).for_each(|(all, these)| *all += these);
        done += each;
        seed += 1;
    }
    let [dropped, passed, sent, undone] = fates;
    println!("{done} packets, seeds {first} to {}: no difference", seed - 1);
    println!("{dropped} dropped, {passed} passed, {sent} sent, {undone} undone");
    println!("{named} sent where a connection id says");
    println!("errors translated: {} to backends, {} to clients", errors[0], errors[1]);
    assert!(errors.iter().all(|errors| *errors > done / 5000), "errors are tried both ways");
    assert!(named > done / 400, "connection ids are tried");
    assert!(fates.iter().all(|fate| *fate > done / 100), "each fate is tried");
}
