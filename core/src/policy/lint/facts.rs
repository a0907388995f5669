//! What is known of a packet for which some tests came out one way.

use crate::cond::{Cond, Load, Operator, Relation, Returned, Value, Width};

/// What is known of a number.
#[derive(Clone, Debug)]
struct Domain {
    least: u32,
    most: u32,
    /// Which bits are known, and their values.
    known: u32,
    bits: u32,
    /// Values that it has not.
    not: Vec<u32>,
}

impl Domain {
    fn new(most: u32) -> Self {
        Domain { least: 0, most, known: 0, bits: 0, not: Vec::new() }
    }

    /// What is known of `value & mask`.
    fn masked(&self, mask: u32) -> Self {
        let most = if self.most < mask { self.most } else { mask };
        Domain { least: 0, most, known: self.known | !mask, bits: self.bits & mask, not: Vec::new() }
    }

    fn exact(&self) -> Option<u32> {
        if self.least == self.most { Some(self.least) } else { (self.known == u32::MAX).then_some(self.bits) }
    }

    fn may_be(&self, value: u32) -> bool {
        (self.least..=self.most).contains(&value) && value & self.known == self.bits && !self.not.contains(&value)
    }

    /// How a comparison with a constant comes out.
    fn compare(&self, relation: Relation, constant: u32) -> Option<bool> {
        let (least, most) = (self.least.max(self.bits), self.most.min(self.bits | !self.known));
        match relation {
            Relation::Equal if !self.may_be(constant) => Some(false),
            Relation::Equal => self.exact().map(|value| value == constant),
            Relation::Greater if least > constant => Some(true),
            Relation::Greater => (most <= constant).then_some(false),
            Relation::GreaterEqual if least >= constant => Some(true),
            Relation::GreaterEqual => (most < constant).then_some(false),
        }
    }

    /// Takes up that a comparison with a constant came out so; false where it cannot.
    fn learn(&mut self, relation: Relation, constant: u32, truth: bool) -> bool {
        match (relation, truth) {
            (Relation::Equal, true) => {
                if !self.may_be(constant) {
                    return false;
                }
                (self.least, self.most, self.known, self.bits) = (constant, constant, u32::MAX, constant);
            }
            (Relation::Equal, false) => self.not.push(constant),
            (Relation::Greater, true) if constant == u32::MAX => return false,
            (Relation::Greater, true) => self.least = self.least.max(constant + 1),
            (Relation::GreaterEqual, true) => self.least = self.least.max(constant),
            (Relation::Greater, false) => self.most = self.most.min(constant),
            (Relation::GreaterEqual, false) if constant == 0 => return false,
            (Relation::GreaterEqual, false) => self.most = self.most.min(constant - 1),
        }
        self.least <= self.most && self.exact().is_none_or(|value| self.may_be(value))
    }

    /// Takes up that `value & mask` is `constant`; false where it cannot be.
    fn learn_bits(&mut self, mask: u32, constant: u32) -> bool {
        let both = self.known & mask;
        if constant & !mask != 0 || self.bits & both != constant & both {
            return false;
        }
        (self.known, self.bits) = (self.known | mask, self.bits | constant);
        self.exact().is_none_or(|value| self.may_be(value))
    }
}

/// What is known of a packet.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    numbers: Vec<(Value, Domain)>,
    /// Tests of other kinds.
    tests: Vec<(Cond, bool)>,
    /// How many bytes there are behind a place that depends on the packet.
    behind: Vec<(Value, u64)>,
    /// How many bytes there are.
    length: u64,
    /// The interface is known.
    interface: bool,
    /// It is an ICMP error that brings a packet back.
    returned: bool,
}

impl Facts {
    /// A packet of at least so many bytes.
    pub(super) fn of_length(length: u64) -> Self {
        Facts { length, ..Facts::default() }
    }

    /// This, and that a test was made and came out so; none where it cannot.
    pub(super) fn with(&self, test: &Cond, truth: bool) -> Option<Facts> {
        if let Some(known) = self.test(test) {
            return (known == truth).then(|| self.clone());
        }
        let mut facts = self.clone();
        facts.made(test);
        match test {
            Cond::Compare(value, relation, Value::Const(constant)) => {
                facts.learn(value, *relation, *constant, truth).then_some(facts)
            }
            _ => {
                facts.tests.push((test.clone(), truth));
                Some(facts)
            }
        }
    }

    fn learn(&mut self, value: &Value, relation: Relation, constant: u32, truth: bool) -> bool {
        if let Value::Arithmetic(inner, Operator::And, mask) = value
            && let Value::Const(mask) = **mask
            && relation == Relation::Equal
            && truth
            && !self.entry(inner).learn_bits(mask, constant)
        {
            return false;
        }
        self.entry(value).learn(relation, constant, truth)
    }

    fn entry(&mut self, value: &Value) -> &mut Domain {
        let at = match self.numbers.iter().position(|(known, _)| known == value) {
            Some(at) => at,
            None => {
                let domain = self.domain(value);
                self.numbers.push((value.clone(), domain));
                self.numbers.len() - 1
            }
        };
        &mut self.numbers[at].1
    }

    fn domain(&self, value: &Value) -> Domain {
        if let Some((_, domain)) = self.numbers.iter().find(|(known, _)| known == value) {
            let mut domain = domain.clone();
            if let Value::Arithmetic(inner, Operator::And, mask) = value
                && let Value::Const(mask) = **mask
            {
                let masked = self.domain(inner).masked(mask);
                if masked.bits & domain.known == domain.bits & masked.known {
                    (domain.known, domain.bits) = (domain.known | masked.known, domain.bits | masked.bits);
                }
            }
            return domain;
        }
        match value {
            Value::Const(constant) => {
                let domain = Domain::new(*constant);
                Domain { least: *constant, known: u32::MAX, bits: *constant, ..domain }
            }
            Value::Load(Load { width: Width::One, .. }) => Domain::new(0xff),
            Value::Load(Load { width: Width::Two, .. }) => Domain::new(0xffff),
            Value::Length => {
                let least = u32::try_from(self.length).unwrap_or(u32::MAX);
                Domain { least, ..Domain::new(u32::MAX) }
            }
            Value::Arithmetic(inner, Operator::And, mask) => match **mask {
                Value::Const(mask) => self.domain(inner).masked(mask),
                _ => Domain::new(u32::MAX),
            },
            _ => Domain::new(u32::MAX),
        }
    }

    /// The number's value, where it is known.
    pub(super) fn value(&self, value: &Value) -> Option<u32> {
        self.domain(value).exact()
    }

    /// How a single test comes out, where that is known; then it cannot fault.
    pub(super) fn test(&self, test: &Cond) -> Option<bool> {
        if !self.is_safe(test) {
            return None;
        }
        match test {
            Cond::Always(truth) => Some(*truth),
            Cond::Compare(value, relation, Value::Const(constant)) => self.domain(value).compare(*relation, *constant),
            _ => self.tests.iter().find(|(known, _)| known == test).map(|(_, truth)| *truth),
        }
    }

    /// Whether a condition cannot fault, however its tests come out.
    pub(super) fn is_safe(&self, cond: &Cond) -> bool {
        match cond {
            Cond::Always(_) => true,
            Cond::Compare(left, _, right) => self.can_read(left) && self.can_read(right),
            Cond::In(member) => {
                member.keys().all(|(at, size)| self.reaches(at.base.as_deref(), u64::from(at.offset) + u64::from(size)))
            }
            Cond::Chain(_) => self.tests.iter().any(|(known, _)| known == cond),
            Cond::Not(inner) => self.is_safe(inner),
            Cond::And(left, right) | Cond::Or(left, right) => self.is_safe(left) && self.is_safe(right),
        }
    }

    fn can_read(&self, value: &Value) -> bool {
        match value {
            Value::Const(_) | Value::Length => true,
            Value::Ifindex => self.interface,
            Value::Returned(_) => self.returned,
            Value::Load(load) => self.reaches(load.at.base.as_deref(), end(load)),
            Value::Negative(inner) => self.can_read(inner),
            Value::Arithmetic(left, Operator::Divide | Operator::Modulo, right) => {
                self.can_read(left) && matches!(**right, Value::Const(1..))
            }
            Value::Arithmetic(left, _, right) => self.can_read(left) && self.can_read(right),
        }
    }

    fn reaches(&self, base: Option<&Value>, bytes: u64) -> bool {
        match base {
            None => bytes <= self.length,
            Some(base) => self.behind.iter().any(|(known, there)| known == base && bytes <= *there),
        }
    }

    /// What was read without a fault is there.
    fn made(&mut self, test: &Cond) {
        match test {
            Cond::Compare(left, _, right) => {
                self.read(left);
                self.read(right);
            }
            Cond::In(member) => {
                for (at, size) in member.keys() {
                    self.read_to(at.base.as_deref(), u64::from(at.offset) + u64::from(size));
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, value: &Value) {
        match value {
            Value::Const(_) | Value::Length => {}
            Value::Ifindex => self.interface = true,
            Value::Returned(_) => {
                self.returned = true;
                self.length = self.length.max(Returned::SHORTEST.into());
            }
            Value::Load(load) => self.read_to(load.at.base.as_deref(), end(load)),
            Value::Negative(inner) => self.read(inner),
            Value::Arithmetic(left, _, right) => {
                self.read(left);
                self.read(right);
            }
        }
    }

    fn read_to(&mut self, base: Option<&Value>, bytes: u64) {
        self.length = self.length.max(bytes);
        let Some(base) = base else { return };
        self.read(base);
        match self.behind.iter_mut().find(|(known, _)| known == base) {
            Some((_, there)) => *there = bytes.max(*there),
            None => self.behind.push((base.clone(), bytes)),
        }
    }
}

/// Where a load ends, from its base.
fn end(load: &Load) -> u64 {
    u64::from(load.at.offset) + load.width as u64
}
