//! Documents change while everything around them breaks. In the end each node's kernel equals the store, the store has
//! all that it acknowledged, and no packet ever met a half of a change.
//!
//! `XDPILOT_CHANGES` says how many changes are made, `XDPILOT_SEED` which ones.

mod changes;
mod faults;
mod probes;
mod random;

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use self::changes::Driver;
use self::faults::Faults;
use self::probes::Probes;
use self::random::Random;
use crate::world::{Fleet, Host, run};

/// Changes that are made where nothing is said.
const CHANGES: u64 = 30;
/// Which ones, where nothing is said.
const SEED: u64 = 42;
/// After so many changes all is mended, and the nodes have to come to what the store says.
const ROUND: u64 = 30;
/// How long that may take.
const CONVERGENCE: Duration = Duration::from_secs(120);
const NODES: usize = 3;

#[test]
fn root_kernels_equal_the_store_whatever_breaks() {
    let (changes, seed) = (number("XDPILOT_CHANGES", CHANGES), number("XDPILOT_SEED", SEED));
    eprintln!("chaos: {changes} changes, XDPILOT_SEED={seed}");
    let fleet = Fleet::new(3);
    let hosts: Vec<Host> = (0..NODES).map(|_| fleet.host()).collect();
    hosts.iter().for_each(second_interface);
    let begun = Instant::now();
    let mut driver = Driver::new(&fleet, &hosts, Random::new(seed));
    driver.begin();
    let mut faults = Faults::new(&fleet, &hosts, Random::new(!seed));
    converged(&fleet, &hosts);
    let probes = Probes::begin(&hosts);
    let (mut longest, mut made) = (Duration::ZERO, 0);
    while made < changes {
        let round = ROUND.min(changes - made);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let breaking = scope.spawn(|| faults.go_on(&over));
            let end = End(&over);
            for _ in 0..round {
                driver.change();
            }
            drop(end);
            breaking.join().unwrap();
        });
        made += round;
        faults.mend();
        longest = longest.max(converged(&fleet, &hosts));
        driver.check();
        probes.check();
        eprintln!("chaos: {made} changes, {:?}; {}", begun.elapsed(), faults.counts());
    }
    let probed = probes.end();
    eprintln!(
        "chaos: {made} changes in {:?}; {}; {}; longest time to convergence {longest:?}; {probed} packets as they should be",
        begun.elapsed(),
        driver.counts(),
        faults.counts(),
    );
}

/// Ends what breaks things, also where the test fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable).map_or(default, |words| words.parse().unwrap())
}

/// An interface beside e0, at 10.10.0.2, for policies that no probe meets.
fn second_interface(host: &Host) {
    let name = &host.name;
    run(&format!("ip -n {name} link add e1 type veth peer name p1 netns {name}p"));
    for (namespace, interface, address) in
        [(name.clone(), "e1", "10.10.0.2/24"), (format!("{name}p"), "p1", "10.10.0.1/24")]
    {
        run(&format!("ip -n {namespace} link set {interface} up"));
        run(&format!("ip -n {namespace} address add {address} dev {interface}"));
    }
    // Else nothing is routed.
    run(&format!("ip netns exec {name} sysctl -w net.ipv4.ip_forward=1"));
}

/// Waits until nothing would change on any node; how long that took.
#[track_caller]
fn converged(fleet: &Fleet, hosts: &[Host]) -> Duration {
    let begin = Instant::now();
    for host in hosts {
        loop {
            let steps = steps(&fleet.store(), host);
            if steps.as_ref().is_ok_and(Vec::is_empty) {
                break;
            }
            assert!(
                begin.elapsed() < CONVERGENCE,
                "{} does not come to what the store says: {steps:?}\n{}",
                host.name,
                faults::log(host)
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
    begin.elapsed()
}

/// What would change on a node.
fn steps(store: &str, host: &Host) -> Result<Vec<Value>, String> {
    let output = host.output(store, &["diff", "--json", "--node", &host.name]);
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let shown: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    Ok(shown["steps"].as_array().cloned().unwrap_or_default())
}
