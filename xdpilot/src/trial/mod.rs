//! Packets through a program or a policy, without any interface: what `test`, `explain` and `check` are made of.

mod kernel;
mod subject;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::eval::{Fate as Sent, Outcome};
use xdpilot_core::policy::Verdict;

pub use kernel::Testbed;
pub use subject::{Subject, Tried};

use crate::direction::Direction;
use crate::policy::{self, Policy, Text};

/// A policy on the command line: a file, or words.
#[derive(Clone, Debug, ClapArgs)]
pub struct PolicyArgs {
    /// A policy (edge.xdp)
    #[arg(required_unless_present = "expression", conflicts_with = "expression", value_name = "POLICY")]
    file: Option<PathBuf>,
    /// A policy in words: 'drop when udp'; rules are separated by ; or lines
    #[arg(long = "expression", short = 'e', value_name = "POLICY")]
    expression: Option<String>,
}

impl PolicyArgs {
    /// Its text.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn text(&self) -> Result<Text> {
        match (&self.file, &self.expression) {
            (_, Some(words)) => Ok(Text::of_words(words)),
            (Some(file), None) => Text::of_file(file),
            (None, None) => Err(Error::usage("no policy is given")),
        }
    }
}

/// What happened to a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fate {
    /// The verdict as XDP has it: `reflect` is `tx`; `-` where the program could not be run.
    pub verdict: &'static str,
    /// Where it is redirected to; only a policy tells.
    pub target: Option<String>,
    /// The rule that decided; none where it was the default, and for programs.
    pub rule: Option<usize>,
    /// The packet afterwards.
    pub bytes: Vec<u8>,
    /// Why the program could not be run.
    pub obstacle: Option<String>,
}

impl Fate {
    /// Whether the packet goes on: to the stack, back, or elsewhere.
    pub fn lives(&self) -> bool {
        matches!(self.verdict, "pass" | "tx" | "redirect")
    }

    /// Whether it makes a difference which of the two happens. The bytes of a dropped packet do not matter; where one is
    /// not known, there is nothing to compare.
    pub fn differs(&self, other: &Fate) -> bool {
        if self.obstacle.is_some() || other.obstacle.is_some() {
            return false;
        }
        let targets = self.target.is_some() && other.target.is_some() && self.target != other.target;
        self.verdict != other.verdict || targets || self.lives() && self.bytes != other.bytes
    }
}

/// The verdict as XDP has it; of a packet that was routed what came of it.
pub fn word(outcome: &Outcome) -> &'static str {
    match (outcome.routed.map(|routed| routed.fate), &outcome.verdict) {
        (Some(Sent::Drop), _) => "drop",
        (Some(Sent::Pass), _) => "pass",
        (Some(Sent::Send(0)), _) => "tx",
        (Some(Sent::Send(_)), _) => "redirect",
        (None, verdict) => plain(verdict),
    }
}

fn plain(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Abort => "aborted",
        Verdict::Drop => "drop",
        Verdict::Pass => "pass",
        Verdict::Tx | Verdict::Reflect => "tx",
        Verdict::Redirect(_) => "redirect",
        // The evaluator says what comes of it.
        Verdict::Route(_) => "drop",
    }
}

/// Reads a policy as one for packets that arrive.
///
/// # Errors
/// All that may be wrong with a policy.
pub fn read_policy(text: &Text, name: Option<&str>) -> Result<Policy> {
    policy::read(text, name, Direction::Ingress)
}

/// Writing to the standard output: who reads no further wants no more.
///
/// # Errors
/// What the output says.
pub fn printed(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::failed("print the result").kernel(error.to_string()))
        }
        _ => Ok(()),
    }
}

/// Writing to a file.
pub(crate) fn written<T>(path: &Path, result: io::Result<T>) -> Result<T> {
    result.map_err(|error| {
        let words = error.to_string();
        let words = words.split(" (os error").next().unwrap_or_default().to_owned();
        Error::failed(format!("write {}", path.display())).kernel(words)
    })
}
