//! How many bytes a packet must have.

use crate::cond::{Cond, Load, Place, Returned, Value};

/// How many bytes of the packet the value asks for at fixed offsets; a load at a variable offset asks for none here,
/// but its base may.
pub fn extent(value: &Value) -> u32 {
    match value {
        Value::Const(_) | Value::Length | Value::Ifindex => 0,
        Value::Returned(_) => Returned::SHORTEST,
        Value::Load(Load { at, width }) => match &at.base {
            None => at.offset.saturating_add(*width as u32),
            Some(base) => extent(base),
        },
        Value::Negative(inner) => extent(inner),
        Value::Arithmetic(left, _, right) => extent(left).max(extent(right)),
    }
}

/// How many bytes a packet has at least, if evaluating the condition leads to a match, where going on after it held
/// needs `yes` bytes and after it did not hold needs `no`. `u32::MAX` where that leads to no match.
///
/// A packet that is shorter cannot match: it faults before.
pub fn need(cond: &Cond, yes: u32, no: u32) -> u32 {
    match cond {
        Cond::Always(true) => yes,
        Cond::Always(false) => no,
        Cond::Compare(left, _, right) => extent(left).max(extent(right)).max(yes.min(no)),
        Cond::In(member) => {
            let own = |(at, size): (&Place, u32)| match &at.base {
                None => at.offset.saturating_add(size),
                Some(base) => extent(base),
            };
            member.keys().map(own).max().unwrap_or(0).max(yes.min(no))
        }
        Cond::Chain(chain) => chain.at.base.as_deref().map_or(0, extent).max(yes.min(no)),
        Cond::Not(inner) => need(inner, no, yes),
        Cond::And(left, right) => need(left, need(right, yes, no), no),
        Cond::Or(left, right) => need(left, yes, need(right, yes, no)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cond::Width;

    #[test]
    fn the_shortest_way_to_a_match_counts() {
        let (a, b) = (Cond::equals(12, Width::Two, 1), Cond::equals(23, Width::One, 2));
        let never = u32::MAX;
        assert_eq!(need(&a.clone().and(b.clone()), 0, never), 24);
        assert_eq!(need(&a.clone().or(b.clone()), 0, never), 14);
        assert_eq!(need(&b.or(a.clone().negate()), 0, never), 24, "the left side is looked at first");
        assert_eq!(need(&a.and(Cond::Always(false)), 0, never), never);
    }
}
