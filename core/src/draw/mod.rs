//! Packets drawn from a policy: a random rule, a random packet that it matches.
//!
//! A way through the rule's condition is chosen at random, which bounds the numbers that it compares; each gets a random value
//! within its bounds, and is written into a well-formed frame. Whether the rule matches what came of it is then asked of the
//! evaluator. Earlier rules may decide about such a packet, as they do for any other.

mod bounds;
mod frame;
#[cfg(test)]
mod tests;
mod way;
mod write;

use crate::cond::Value;
use crate::eval::Elements;
use crate::eval::cond::{View, holds};
use crate::random::Random;
use crate::rules::Rules;

use frame::Headers;
use way::Ways;

/// So often a packet is looked for before a rule is given up.
const TRIES: usize = 12;
/// What the kernel runs a program on, in bytes.
const LENGTHS: std::ops::RangeInclusive<u32> = 60..=1514;

/// Packets, and what was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The packets.
    pub packets: Vec<Vec<u8>>,
    /// The rules that were tried, and for which no packet was found, ascending.
    pub given_up: Vec<usize>,
}

/// Draws so many packets; of a hundred, so many are drawn from no rule. The same seed gives the same packets.
pub fn packets(rules: &Rules, count: usize, strangers: usize, seed: u64) -> Drawn {
    let mut draw = Draw {
        rules,
        ways: Ways::new(&rules.sets),
        sets: rules.sets.iter().map(|set| Elements::new(set.elements.clone())).collect(),
        random: Random::new(seed),
    };
    let mut open: Vec<usize> = (0..rules.rules.len()).collect();
    let (mut packets, mut given_up) = (Vec::with_capacity(count), Vec::new());
    while packets.len() < count {
        if open.is_empty() || draw.random.chance(strangers) {
            packets.push(draw.stranger());
            continue;
        }
        let at = draw.random.below(open.len());
        match draw.rule(open[at]) {
            Some(packet) => packets.push(packet),
            None => given_up.push(open.swap_remove(at)),
        }
    }
    given_up.sort_unstable();
    Drawn { packets, given_up }
}

/// A length of a packet, in bytes: short ones and full ones, and some between.
pub fn length(random: &mut Random) -> usize {
    match random.below(100) {
        0..45 => 60 + random.below(20),
        45..80 => 1514,
        _ => 80 + random.below(1400),
    }
}

struct Draw<'a> {
    rules: &'a Rules,
    ways: Ways<'a>,
    sets: Vec<Elements>,
    random: Random,
}

impl Draw<'_> {
    fn stranger(&mut self) -> Vec<u8> {
        let length = length(&mut self.random);
        frame::frame(&Headers::default(), length, &mut self.random)
    }

    /// A packet that a rule matches.
    fn rule(&mut self, rule: usize) -> Option<Vec<u8>> {
        let cond = &self.rules.rules.get(rule)?.cond;
        for _ in 0..TRIES {
            let Some(bounds) = self.ways.choose(cond, &mut self.random) else { continue };
            let Some(values) = bounds.values(&mut self.random) else { continue };
            let bound = values.iter().find(|(value, _)| *value == Value::Length).map(|(_, length)| *length);
            let length = match bound {
                Some(length) if length > *LENGTHS.end() => continue,
                Some(length) => length.max(14) as usize,
                None => length(&mut self.random),
            };
            let mut packet = frame::frame(&Headers::of(&values), length, &mut self.random);
            if write::all(&values, &mut packet) && self.holds(rule, &packet) {
                return Some(packet);
            }
        }
        None
    }

    fn holds(&self, rule: usize, packet: &[u8]) -> bool {
        let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        let view = View { packet, length, ifindex: None, sets: &self.sets };
        self.rules.rules.get(rule).is_some_and(|rule| holds(&rule.cond, view))
    }
}
