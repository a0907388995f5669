//! Packets that `sample` rules copied.

use std::os::fd::{AsFd, BorrowedFd};

use xdpilot_core::emit::SAMPLES;
use xdpilot_core::error::Result;
use xdpilot_core::packet;
use xdpilot_core::policy::Action;
use xdpilot_core::rules::Rules;
use xdpilot_kernel::perf_buffer::PerfBuffer;

use crate::direction::Direction;
use crate::place::Place;
use crate::policy::sets;
use crate::record::PolicyRecord;
use crate::state::Pinned;

/// The samples of all places.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Source>);

#[derive(Debug)]
struct Source {
    label: String,
    policy: PolicyRecord,
    buffer: PerfBuffer,
}

/// What stands before the captured bytes: the rule, the packet's length, the captured bytes, zero.
const HEAD: usize = 16;

impl Samples {
    /// Opens those of a policy where it stands.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn open(rules: &Rules, places: &[Place], direction: Direction) -> Result<Self> {
        let mut sources = Vec::new();
        if !rules.rules.iter().any(|rule| matches!(rule.action, Action::Sample { .. })) {
            return Ok(Samples(sources));
        }
        for place in places {
            let (namespace, ifindex) = (place.namespace.inode(), place.interface.index);
            let pinned = Pinned { path: place.link_path(direction), direction, namespace, ifindex };
            let Some(mut loaded) = sets::at(pinned)? else { continue };
            let Some(map) = loaded.take_map(SAMPLES) else { continue };
            let policy = loaded.record.policy.unwrap_or_default();
            sources.push(Source { label: place.label.clone(), policy, buffer: PerfBuffer::new(map)? });
        }
        Ok(Samples(sources))
    }

    /// Readable where samples wait.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|source| source.buffer.as_fd())
    }

    /// What came since the last time, a line each.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(super) fn take(&mut self) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for source in &mut self.0 {
            let taken = source.buffer.take()?;
            lines.extend(taken.records.iter().filter_map(|record| source.line(record)));
            if taken.lost > 0 {
                lines.push(format!("{}: {} samples lost", source.label, taken.lost));
            }
        }
        Ok(lines)
    }
}

impl Source {
    /// A sample in words; none where the record is none of ours.
    fn line(&self, record: &[u8]) -> Option<String> {
        let (head, bytes) = record.split_at_checked(HEAD)?;
        let number = |at: usize| head.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes);
        let (rule, captured) = (number(0)? as usize, number(8)? as usize);
        let rule = self.policy.rules.get(rule)?;
        let packet = packet::describe(bytes.get(..captured).unwrap_or(bytes));
        Some(format!("{}: {packet}   [line {}: {}]", self.label, rule.line, rule.text))
    }
}
