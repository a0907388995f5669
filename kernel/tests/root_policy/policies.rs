//! Random policies.

use xdpilot_core::cond::{Chain, Column, Cond, Layout, Load, Member, Operator, Part, Place, Relation, Value, Width};
use xdpilot_core::policy::{Action, Assignment, Datum, Element, Key, Limit, Tuple, Unit, Verdict};
use xdpilot_core::rules::{Rule, Rules, Set};

use crate::packets::{ADDRESSES, PORTS};
use crate::random::Random;

/// The set that conditions ask for.
const SET: usize = 0;
/// The tuples that it has.
const LAYOUTS: [&[Column]; 5] = [
    &[Column::V4, Column::Port],
    &[Column::Protocol, Column::V4],
    &[Column::Port, Column::V6],
    &[Column::Mac, Column::Protocol, Column::Port],
    &[Column::V6, Column::Protocol, Column::V6, Column::Port, Column::Mac],
];

/// A policy of at most `most` rules, and a few more where rules of one form follow each other.
/// A policy of at most so many rules of all kinds, and some times so many that are alike.
pub(crate) fn policy(random: &mut Random, most: usize, crowded: usize) -> Rules {
    let mut rules = Vec::new();
    for _ in 0..1 + random.below(most) {
        if random.once_in(20) {
            rules.extend(family(random));
        } else if random.once_in(25) {
            rules.extend(crowd(random, crowded));
        } else if random.once_in(20) {
            rules.push(rule(alternatives(random), action(random)));
        } else if random.once_in(50) {
            // So many that they share maps.
            rules.extend((0..30).map(|_| rule(cond(random, 2), Action::Limit(limit(random)))));
        } else {
            rules.push(rule(cond(random, 3), action(random)));
        }
    }
    let elements = elements(random);
    let mut parts = vec![Part::V4, Part::V6, Part::Port, Part::Mac];
    parts.extend(LAYOUTS.iter().filter_map(|columns| Layout::new(columns)).map(Part::Tuple));
    let set = Set { name: "some".into(), parts, elements };
    let uses_set = rules.iter().any(|rule| mentions(&rule.cond));
    Rules {
        name: "random".into(),
        file: "random.xdp".into(),
        rules,
        default: verdict(random),
        default_line: 0,
        sets: if uses_set { vec![set] } else { Vec::new() },
        pools: Vec::new(),
    }
}

fn mentions(cond: &Cond) -> bool {
    match cond {
        Cond::In(_) => true,
        Cond::Not(inner) => mentions(inner),
        Cond::And(left, right) | Cond::Or(left, right) => mentions(left) || mentions(right),
        _ => false,
    }
}

fn rule(cond: Cond, action: Action) -> Rule {
    Rule { text: format!("{action:?} when {cond:?}").chars().take(200).collect(), cond, action, line: 1 }
}

fn elements(random: &mut Random) -> Vec<Element> {
    let mut elements = Vec::new();
    for _ in 0..random.below(6) {
        let length = *random.pick(&[0, 8, 15, 24, 26, 29, 31, 32, 32]);
        let address = *random.pick(&ADDRESSES) & (u64::from(u32::MAX) << (32 - length)) as u32;
        elements.push(Element::V4(address.into(), length));
    }
    for _ in 0..random.below(6) {
        let length = *random.pick(&[0u8, 24, 31, 32, 33, 40, 60, 64, 66, 100, 127, 128, 128]);
        let address = 0x2001_0db8u128 << 96 | u128::from(*random.pick(&ADDRESSES));
        let mask = if length == 0 { 0 } else { u128::MAX << (128 - length) };
        elements.push(Element::V6((address & mask).into(), length));
    }
    for _ in 0..random.below(3) {
        let start = *random.pick(&PORTS);
        elements.push(Element::Ports(start..=start.saturating_add(random.below(400) as u16)));
    }
    if random.once_in(2) {
        elements.push(Element::Mac([2, 0, 0, 0, 0, random.below(4) as u8]));
    }
    for columns in LAYOUTS {
        for _ in 0..random.below(30) {
            let values = columns.iter().map(|column| datum(random, *column)).collect();
            elements.extend(Tuple::new(values).map(Element::Tuple));
        }
    }
    elements
}

fn datum(random: &mut Random, column: Column) -> Datum {
    let address = *random.pick(&ADDRESSES);
    match column {
        Column::V4 => Datum::V4(address.into()),
        Column::V6 => Datum::V6((0x2001_0db8u128 << 96 | u128::from(address)).into()),
        Column::Port => Datum::Port(*random.pick(&PORTS)),
        Column::Protocol => Datum::Protocol(*random.pick(&[6, 17, 1, 58, 44])),
        Column::Mac => Datum::Mac([2, 0, 0, 0, 0, random.below(4) as u8]),
    }
}

/// Rules that ask for the same numbers.
fn family(random: &mut Random) -> Vec<Rule> {
    let (guard, port) = (cond(random, 1), random.once_in(2));
    (0..8 + random.below(30))
        .map(|at| {
            let address = if random.once_in(2) { *random.pick(&ADDRESSES) } else { 0x0a00_0000 + at as u32 };
            let mut all = ether(0x0800).and(Cond::equals(26, Width::Four, address));
            if port {
                all = all.and(equals(port_of_v4(2), (*random.pick(&PORTS)).into()));
            }
            if at % 7 != 6 {
                all = all.and(guard.clone());
            }
            rule(all, Action::Verdict(verdict(random)))
        })
        .collect()
}

/// Many alternatives, mostly of the same numbers, and what stands beside them.
fn alternatives(random: &mut Random) -> Cond {
    let (port, strangers, chained) = (random.once_in(2), random.once_in(3), random.once_in(3));
    let mut any = None;
    for at in 0..6 + random.below(40) {
        let address = if random.once_in(3) { *random.pick(&ADDRESSES) } else { 0x0a00_0000 + at as u32 };
        let first = Cond::equals(26, Width::Four, address);
        let mut one = first.clone();
        if port {
            one = one.and(equals(port_of_v4(2), (*random.pick(&PORTS)).into()));
        }
        if strangers && random.once_in(12) {
            one = cond(random, 1);
        }
        any = Some(match any {
            None => one,
            Some(rest) if chained => one.or(first.negate().and(rest)),
            Some(rest) if random.once_in(2) => one.or(rest),
            Some(rest) => rest.or(one),
        });
    }
    let mut all = any.unwrap_or(Cond::Always(true));
    if random.once_in(2) {
        all = all.and(cond(random, 1));
    }
    match random.below(8) {
        0 => all,
        1 => cond(random, 2).and(all),
        2 => ether(0x86dd).and(cond(random, 1)).or(ether(0x0800).and(all)),
        3 => all.negate(),
        _ => ether(0x0800).and(all),
    }
}

/// Rules that ask for other bits of the same numbers, and a few of any kind among them.
fn crowd(random: &mut Random, most: usize) -> Vec<Rule> {
    // Few enough for a classifier.
    let others = *random.pick(&[most.max(200) / 10, most.max(200) / 5, 10_000]);
    let v6 = random.once_in(4);
    (0..24 + random.below(most))
        .map(|_| {
            if random.once_in(others) {
                return rule(cond(random, 2), action(random));
            }
            let all = if random.once_in(9) { either(random, v6) } else { asked(random, v6) };
            let kind = if v6 { 0x86dd } else { 0x0800 };
            rule(if random.once_in(30) { all } else { ether(kind).and(all) }, Action::Verdict(verdict(random)))
        })
        .collect()
}

fn either(random: &mut Random, v6: bool) -> Cond {
    let (one, other) = (asked(random, v6), asked(random, v6));
    let any = one.or(other);
    if random.once_in(4) { any.negate() } else { any }
}

/// Some of: source, destination, protocol, ports, flags.
fn asked(random: &mut Random, v6: bool) -> Cond {
    let mut all = Cond::Always(true);
    let (addresses, protocol) = if v6 { ([22, 34, 38, 50], 20) } else { ([26, 26, 30, 30], 23) };
    for offset in addresses {
        if random.once_in(3) {
            let (address, mask) = (*random.pick(&ADDRESSES), (u64::from(u32::MAX) << random.below(33)) as u32);
            let one = equals(Value::load(offset, Width::Four).with(Operator::And, Value::Const(mask)), address & mask);
            all = all.and(if random.once_in(8) { one.negate() } else { one });
        }
    }
    if random.once_in(2) {
        all = all.and(Cond::equals(protocol, Width::One, *random.pick(&[6, 17, 1, 58])));
    }
    for offset in [0, 2] {
        if random.once_in(3) {
            let port = if v6 { Value::load(54 + offset, Width::Two) } else { port_of_v4(offset) };
            let low = *random.pick(&PORTS);
            let high = low.saturating_add(*random.pick(&[0, 0, 0, 1, 7, 1000]));
            let (from, to) = (Value::Const(low.into()), Value::Const(high.into()));
            let one = Cond::Compare(port.clone(), Relation::GreaterEqual, from);
            let one = one.and(Cond::Compare(port.clone(), Relation::Greater, to).negate());
            let one = if low == high { equals(port, low.into()) } else { one };
            all = all.and(if random.once_in(8) { one.negate() } else { one });
        }
    }
    if random.once_in(6) {
        let flags = Value::load(47, Width::One).with(Operator::And, Value::Const(*random.pick(&[2, 0x12])));
        all = all.and(equals(flags, 0).negate());
    }
    all
}

fn ether(kind: u32) -> Cond {
    Cond::equals(12, Width::Two, kind)
}

fn equals(value: Value, constant: u32) -> Cond {
    Cond::Compare(value, Relation::Equal, Value::Const(constant))
}

fn load(base: Value, offset: u32, width: Width) -> Value {
    Value::Load(Load { at: Place { base: Some(Box::new(base)), offset }, width })
}

/// The port at 0 or 2 of the header behind an IPv4 header.
fn port_of_v4(offset: u32) -> Value {
    let length = Value::load(14, Width::One).with(Operator::And, Value::Const(0xf));
    load(length.with(Operator::ShiftLeft, Value::Const(2)), 14 + offset, Width::Two)
}

fn cond(random: &mut Random, depth: usize) -> Cond {
    if depth == 0 || random.once_in(3) {
        return atom(random);
    }
    match random.below(8) {
        0 => cond(random, depth - 1).negate(),
        1..=4 => cond(random, depth - 1).and(cond(random, depth - 1)),
        _ => cond(random, depth - 1).or(cond(random, depth - 1)),
    }
}

fn atom(random: &mut Random) -> Cond {
    let address = *random.pick(&ADDRESSES);
    match random.below(17) {
        0 | 1 => ether(*random.pick(&[0x800, 0x800, 0x86dd, 0x806, 0x8100, 0x10800])),
        2 => Cond::equals(23, Width::One, *random.pick(&[6, 17, 1, 300])),
        3 => ether(0x86dd).and(Cond::equals(20, Width::One, *random.pick(&[6, 17, 58, 44]))),
        4 => equals(Value::load(20, Width::Two).with(Operator::And, Value::Const(0x1fff)), 0),
        5 => Cond::equals(*random.pick(&[26, 30, 28, 38]), Width::Four, address),
        6 => {
            let mask = (u64::from(u32::MAX) << random.below(33)) as u32;
            equals(Value::load(26, Width::Four).with(Operator::And, Value::Const(mask)), address & mask)
        }
        7 | 8 => {
            let relation = *random.pick(&[Relation::Equal, Relation::Greater, Relation::GreaterEqual]);
            let port = Value::Const((*random.pick(&PORTS)).into());
            Cond::Compare(port_of_v4(*random.pick(&[0, 2])), relation, port)
        }
        9 => Cond::Compare(Value::Length, Relation::Greater, Value::Const(random.below(120) as u32)),
        10 if random.once_in(2) => member(random),
        10 => tuple(random),
        11 => {
            let at = match random.below(3) {
                0 => Place { base: Some(Box::new(value(random, 1))), offset: 14 },
                _ => Place::fixed(14 + 4 * random.below(2) as u32),
            };
            Cond::Chain(Chain { v6: random.once_in(2), at, protocol: *random.pick(&[6, 17, 58, 44, 51, 59, 0]) })
        }
        12 => Cond::Always(random.once_in(2)),
        _ => {
            let relation = *random.pick(&[Relation::Equal, Relation::Greater, Relation::GreaterEqual]);
            Cond::Compare(value(random, 3), relation, value(random, 2))
        }
    }
}

fn member(random: &mut Random) -> Cond {
    let (part, offset) = *random.pick(&[
        (Part::V4, 26),
        (Part::V4, 30),
        (Part::V6, 22),
        (Part::V6, 38),
        (Part::Mac, 0),
        (Part::Mac, 6),
        (Part::Port, 36),
    ]);
    let at = match random.below(4) {
        0 => Place { base: Some(Box::new(value(random, 1))), offset },
        _ => Place::fixed(offset),
    };
    Cond::In(Member::of(SET, part, at))
}

/// Some of the values lie where packets have such, some anywhere.
fn tuple(random: &mut Random) -> Cond {
    let columns = *random.pick(&LAYOUTS);
    let mut places = columns.iter().map(|column| {
        let offset = match column {
            Column::V4 => *random.pick(&[26, 30, 28]),
            Column::V6 => *random.pick(&[22, 38]),
            Column::Port => *random.pick(&[34, 36, 54, 56]),
            Column::Protocol => *random.pick(&[23, 20]),
            Column::Mac => *random.pick(&[0, 6]),
        };
        match random.below(5) {
            0 => Place { base: Some(Box::new(value(random, 1))), offset },
            1 if *column == Column::Port => match port_of_v4(*random.pick(&[0, 2])) {
                Value::Load(load) => load.at,
                _ => Place::fixed(offset),
            },
            _ => Place::fixed(offset),
        }
    });
    match (places.next(), Layout::new(columns)) {
        (Some(at), Some(layout)) => {
            Cond::In(Member { set: SET, part: Part::Tuple(layout), at, more: places.collect() })
        }
        _ => Cond::Always(false),
    }
}

fn value(random: &mut Random, depth: usize) -> Value {
    use Operator::{Add, And, Divide, Modulo, Multiply, Or, ShiftLeft, ShiftRight, Subtract, Xor};
    if depth == 0 || random.once_in(3) {
        let width = *random.pick(&[Width::One, Width::Two, Width::Four]);
        return match random.below(9) {
            0 => Value::Length,
            1 | 2 => Value::Const(*random.pick(&[0, 1, 2, 4, 31, 32, 33, 255, 0x800, 0xffff, u32::MAX])),
            3 => Value::load(*random.pick(&[1100, 1151, 1152, 2000, 4000, 70_000, u32::MAX]), width),
            _ => Value::load(random.below(80) as u32, width),
        };
    }
    match random.below(8) {
        0 => Value::Negative(Box::new(value(random, depth - 1))),
        1 => {
            let width = *random.pick(&[Width::One, Width::Two, Width::Four]);
            load(value(random, depth - 1), *random.pick(&[0, 1, 14, 40, 1150, 3000, u32::MAX]), width)
        }
        _ => {
            let all = [Add, Subtract, Multiply, Divide, Modulo, And, Or, Xor, ShiftLeft, ShiftRight];
            value(random, depth - 1).with(*random.pick(&all), value(random, depth - 1))
        }
    }
}

fn verdict(random: &mut Random) -> Verdict {
    match random.below(13) {
        0..=4 => Verdict::Drop,
        5..=7 => Verdict::Pass,
        8 => Verdict::Tx,
        9 => Verdict::Reflect,
        10 => Verdict::Abort,
        _ => Verdict::Redirect((*random.pick(&["one", "two"])).into()),
    }
}

fn action(random: &mut Random) -> Action {
    match random.below(10) {
        0 => Action::Count("some".into()),
        1 => Action::Sample {
            one_in: 1 + random.below(5) as u32,
            snap: random.once_in(2).then_some(random.below(99) as u32),
        },
        2 => Action::Limit(limit(random)),
        3 | 4 => Action::Set(assignment(random)),
        _ => Action::Verdict(verdict(random)),
    }
}

fn limit(random: &mut Random) -> Limit {
    let all = [Key::Src, Key::Dst, Key::SrcPort, Key::DstPort, Key::Protocol];
    let mut per = Vec::new();
    for key in all {
        if random.once_in(3) {
            per.push(key);
        }
    }
    if random.once_in(2) {
        per.reverse();
    }
    let unit = if random.once_in(2) { Unit::Packets } else { Unit::Bits };
    let rate = *random.pick(&[1, 3, 1000, 8000, 1_000_000, 10_000_000_000]);
    Limit { rate, unit, burst: 1 + random.below(if unit == Unit::Bits { 20_000 } else { 10 }) as u64, per }
}

fn assignment(random: &mut Random) -> Assignment {
    let v4 = *random.pick(&ADDRESSES);
    let v6 = (0x2001_0db8u128 << 96 | u128::from(v4)).into();
    let port = *random.pick(&PORTS);
    match random.below(12) {
        0 => Assignment::EtherSrc([2, 1, 2, 3, 4, v4 as u8]),
        1 => Assignment::EtherDst([2, 0xff, 2, 3, 4, v4 as u8]),
        2 => Assignment::SrcV4(v4.into()),
        3 => Assignment::DstV4(v4.into()),
        4 => Assignment::SrcV6(v6),
        5 => Assignment::DstV6(v6),
        6 => Assignment::SrcPort(port),
        7 => Assignment::DstPort(port),
        8 => Assignment::Ttl(random.next() as u8),
        9 => Assignment::Dscp(random.below(64) as u8),
        10 => Assignment::VlanPush(random.below(4096) as u16),
        11 => Assignment::Decap,
        _ => Assignment::VlanPop,
    }
}
