//! The compiled policy in the kernel beside the evaluator.

use serde::Serialize;
use xdpilot_core::error::Result;
use xdpilot_core::eval::Machine;
use xdpilot_core::packet::describe;
use xdpilot_core::pcap::Packet;

use crate::policy::Policy;
use crate::trial::{Subject, Testbed};

/// A policy in the kernel, and an evaluator that sees the packets as the kernel does: what the capture has cut off never
/// was.
pub(super) struct Kernel<'a> {
    policy: &'a Policy,
    testbed: Testbed,
    machine: Subject<'a>,
    result: Compared,
}

/// What came out.
#[derive(Debug, Default, Serialize)]
pub(super) struct Compared {
    /// Packets that were run.
    pub(super) packets: u64,
    /// Packets that the kernel takes no test run of.
    pub(super) skipped: u64,
    pub(super) differences: Vec<Difference>,
    /// Rules whose counters are not the same.
    pub(super) counters: Vec<Counter>,
}

/// A packet that the kernel treats otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Difference {
    pub(super) number: u64,
    pub(super) packet: String,
    pub(super) evaluator: Side,
    pub(super) kernel: Side,
}

/// What one of the two did.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    pub(super) verdict: &'static str,
    /// The packet afterwards, in hexadecimal digits.
    pub(super) bytes: String,
}

/// A rule that one of the two counted otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Counter {
    /// From 1; none for the default.
    pub(super) rule: Option<usize>,
    /// Packets and bytes.
    pub(super) evaluator: (u64, u64),
    pub(super) kernel: (u64, u64),
}

impl<'a> Kernel<'a> {
    pub(super) fn new(policy: &'a Policy) -> Result<Self> {
        let machine = Subject::Policy(Box::new(Machine::new(&policy.rules)));
        Ok(Kernel { policy, testbed: Testbed::new(policy)?, machine, result: Compared::default() })
    }

    /// Runs a packet on both.
    pub(super) fn compare(&mut self, number: u64, packet: &Packet) -> Result<()> {
        let kernel = self.testbed.run(&packet.bytes, packet.time)?;
        if kernel.obstacle.is_some() {
            self.result.skipped += 1;
            return Ok(());
        }
        let length = u32::try_from(packet.bytes.len()).unwrap_or(u32::MAX);
        let evaluator = self.machine.run(&Packet { length, ..packet.clone() })?;
        self.result.packets += 1;
        if kernel.differs(&evaluator) {
            let [evaluator, kernel] =
                [evaluator, kernel].map(|fate| Side { verdict: fate.verdict, bytes: hex(&fate.bytes) });
            self.result.differences.push(Difference { number, packet: describe(&packet.bytes), evaluator, kernel });
        }
        Ok(())
    }

    /// Compares the counters, too.
    pub(super) fn end(&mut self) -> Result<Compared> {
        let mut result = std::mem::take(&mut self.result);
        if let Subject::Policy(machine) = &self.machine {
            let rules = self.policy.rules.rules.len();
            for (index, kernel) in self.testbed.hits()?.into_iter().enumerate() {
                let evaluator = machine.hits(index);
                if evaluator != kernel {
                    let rule = (index < rules).then_some(index + 1);
                    result.counters.push(Counter { rule, evaluator, kernel });
                }
            }
        }
        Ok(result)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
