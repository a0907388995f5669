//! What decides which program a policy becomes, as a hash.

use std::fmt::Write;

use sha1::{Digest, Sha1};

use crate::direction::Direction;
use crate::policy::Policy;

/// The hash of a policy for packets of several buffers too or not. Elements of sets do not count; `around` is what it
/// depends on besides.
pub(super) fn digest(policy: &Policy, frags: bool, around: &str) -> String {
    let rules = &policy.rules;
    let mut words = String::new();
    let egress = policy.direction == Direction::Egress;
    // Writing to a string does not fail.
    _ = writeln!(words, "{} {egress} {frags} {} {}", rules.name, rules.default, rules.default_line);
    for rule in &rules.rules {
        _ = writeln!(words, "{} {}", rule.line, rule.text);
    }
    for set in &rules.sets {
        _ = writeln!(words, "{} {:?}", set.name, set.parts);
    }
    for pool in &rules.pools {
        _ = writeln!(words, "{pool}");
    }
    words += around;
    Sha1::digest(words.as_bytes()).iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}
