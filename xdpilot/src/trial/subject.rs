//! What packets are tried on: a policy runs in the evaluator, a program in the kernel.

use std::path::Path;

use xdpilot_core::error::Result;
use xdpilot_core::eval::Machine;
use xdpilot_core::modernize::Choice;
use xdpilot_core::pcap::Packet;
use xdpilot_core::policy::Verdict;

use super::{Fate, kernel, word};
use crate::policy::{Policy, Text};
use crate::prepare::Program;
use crate::source::{self, Input};

/// A source, read and ready.
#[derive(Debug)]
pub enum Tried {
    /// A policy.
    Policy(Box<Policy>),
    /// A program in the kernel.
    Program(Box<Program>),
}

/// A source at work.
#[derive(Debug)]
pub enum Subject<'a> {
    /// A policy, in the evaluator.
    Policy(Box<Machine<'a>>),
    /// A program, in the kernel.
    Program(&'a Program),
}

impl Tried {
    /// Takes a policy.
    ///
    /// # Errors
    /// All that may be wrong with it.
    pub fn policy(text: &Text, name: Option<&str>) -> Result<Self> {
        super::read_policy(text, name).map(|policy| Tried::Policy(Box::new(policy)))
    }

    /// Reads a policy (`.xdp`), or reads or compiles an object and loads it.
    ///
    /// # Errors
    /// It is none of these, or the kernel does not load it.
    pub fn file(path: &Path, policy: Option<&str>, choice: &Choice) -> Result<Self> {
        if source::is_policy(path) {
            return Self::policy(&Text::of_file(path)?, policy);
        }
        let input = Input::Object(source::read(path)?);
        kernel::load(&input, choice).map(|program| Tried::Program(Box::new(program)))
    }

    /// The policy, where it is one.
    pub fn as_policy(&self) -> Option<&Policy> {
        match self {
            Tried::Policy(policy) => Some(policy),
            Tried::Program(_) => None,
        }
    }

    /// Before its first packet.
    pub fn start(&self) -> Subject<'_> {
        match self {
            Tried::Policy(policy) => Subject::Policy(Box::new(Machine::new(&policy.rules))),
            Tried::Program(program) => Subject::Program(program),
        }
    }
}

impl Subject<'_> {
    /// What happens to a packet. Its time is that of limits.
    ///
    /// # Errors
    /// The kernel does not run the program.
    pub fn run(&mut self, packet: &Packet) -> Result<Fate> {
        match self {
            Subject::Policy(machine) => {
                let mut bytes = packet.bytes.clone();
                let outcome = machine.run_captured(&mut bytes, packet.length, packet.time, None);
                let verdict = word(&outcome);
                let target = match outcome.verdict {
                    Verdict::Redirect(target) => Some(target),
                    _ => None,
                };
                Ok(Fate { verdict, target, rule: outcome.rule, bytes, obstacle: None })
            }
            Subject::Program(program) => kernel::test(program.loaded.entry(), &packet.bytes),
        }
    }
}
