//! `xdpilot wait`: until all nodes have what the store says.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::{print, print_json};
use crate::agent::api::forms::{Nodes, VERSION};
use crate::agent::report::{Report, State};

/// How long is waited where nothing is said, in seconds.
pub(super) const PATIENCE: u64 = 60;
const PAUSE: Duration = Duration::from_millis(50);

/// Wait until the agents of all nodes have attached what the store says now. Without an agent, on a store in a file, attach
/// it at once.
///
/// Exit code 1: it takes longer than the timeout, or a node cannot; the nodes are named.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot wait
  xdpilot apply -f edge.xdp && xdpilot wait --timeout 10")]
pub struct Args {
    /// How long, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = PATIENCE)]
    timeout: u64,
    /// Print JSON: how the nodes are then
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// It takes too long, or a node cannot.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let access = Access::open(args.store.config()?)?;
    let nodes = until_all_have(&access, args.timeout)?;
    if args.json { print_json(out, &nodes) } else { print(out, "all nodes have it\n") }
}

/// Waits until all nodes have what the store says now; how they are then.
///
/// # Errors
/// It takes too long, or a node cannot.
pub(super) fn until_all_have(access: &Access, seconds: u64) -> Result<Nodes> {
    let revision = access.last()?;
    // Where no agent follows it, this machine is all nodes, and what cannot be done now is not done later.
    let own = access.reconcile()?;
    let end = Instant::now() + if own.is_some() { Duration::ZERO } else { Duration::from_secs(seconds) };
    loop {
        let reports = own.clone().map_or_else(|| access.reports(), |own| Ok(vec![own]))?;
        let behind: Vec<&Report> = reports.iter().filter(|report| report.revision < revision).collect();
        let unwell: Vec<String> = reports.iter().flat_map(faults).collect();
        if behind.is_empty() && unwell.is_empty() && !reports.is_empty() {
            return Ok(Nodes { version: VERSION, revision, nodes: reports });
        }
        // A node that has it, and cannot, may still find a way: interfaces come.
        if Instant::now() >= end {
            let error = Error::failed(format!("wait for revision {revision}"));
            return Err(match (reports.is_empty(), behind.as_slice()) {
                (true, _) => error.cause("no agent follows the store").mend("xdpilot agent --store …"),
                (false, []) => error.cause(unwell.join("; ")).mend("xdpilot get nodes"),
                (false, behind) => {
                    let names: Vec<String> =
                        behind.iter().map(|report| format!("{} (at {})", report.node, report.revision)).collect();
                    error.cause(format!("behind are {}", names.join(", "))).mend("xdpilot get nodes")
                }
            });
        }
        thread::sleep(PAUSE);
    }
}

/// What is not in force on a node.
fn faults(report: &Report) -> Vec<String> {
    let failed = report.attached.iter().filter(|one| one.state == State::Failed);
    failed.map(|one| format!("policy {} at {} on node {}", one.policy, one.place, report.node)).collect()
}
