//! The addresses of a pool's service, as the rules that route to it name them.

use std::net::{IpAddr, SocketAddr};

use crate::cond::{Cond, Load, Member, Part, Place, Relation, Value, Width};
use crate::eval::Elements;
use crate::eval::cond::{View, holds};
use crate::packet::{self, ethertype};
use crate::policy::{Action, Element, Verdict};
use crate::rules::{Rule, Rules};

/// As many VLAN tags are looked behind.
const TAGS: u32 = 2;
/// Where the Ethernet type is, and the destination's address behind it; each tag adds [`TAG`] bytes.
const TYPE: u32 = 12;
const V4: u32 = 14 + 16;
const V6: u32 = 14 + 24;
const TAG: u32 = 4;

/// The addresses that rules route to a pool (`dst host A`, `dst in SET`), in their order, each once. Where some of them are
/// those by which TCP connections to this port are routed there, it is these alone.
pub fn addresses(rules: &Rules, pool: usize, port: u16) -> Vec<IpAddr> {
    let Some(name) = rules.pools.get(pool).map(|pool| &pool.name) else { return Vec::new() };
    let is_its = |rule: &&Rule| matches!(&rule.action, Action::Verdict(Verdict::Route(to)) if to == name);
    let its: Vec<&Rule> = rules.rules.iter().filter(is_its).collect();
    let mut found = Vec::new();
    its.iter().for_each(|rule| walk(&rule.cond, &[], rules, &mut found));
    let mut named = Vec::new();
    found.into_iter().for_each(|address| {
        if !named.contains(&address) {
            named.push(address)
        }
    });
    let sets: Vec<Elements> = rules.sets.iter().map(|set| Elements::new(set.elements.clone())).collect();
    let asked = named.iter().copied().filter(|address| is_asked(&its, &sets, SocketAddr::new(*address, port)));
    let asked: Vec<IpAddr> = asked.collect();
    if asked.is_empty() { named } else { asked }
}

/// Whether one of the rules matches what opens a TCP connection to this address and port.
fn is_asked(rules: &[&Rule], sets: &[Elements], to: SocketAddr) -> bool {
    let from = if to.is_ipv4() { "192.0.2.1:40000" } else { "[2001:db8::1]:40000" };
    let Ok(packet) = packet::parse(&format!("tcp {from} > {to} syn")) else { return false };
    let view = View { packet: &packet, length: packet.len() as u32, ifindex: None, sets };
    rules.iter().any(|rule| holds(&rule.cond, view))
}

/// Finds the destinations that a condition asks for, where all of `with` hold too.
fn walk<'c>(cond: &'c Cond, with: &[&'c Cond], rules: &Rules, found: &mut Vec<IpAddr>) {
    let (mut facts, mut choices) = (with.to_vec(), Vec::new());
    parts(cond, &mut facts, &mut choices);
    for (one, other) in choices {
        walk(one, &facts, rules, found);
        walk(other, &facts, rules, found);
    }
    for tags in 0..=TAGS {
        let is = |kind: u16| facts.iter().any(|fact| word(fact, TYPE + TAG * tags, Width::Two) == Some(kind.into()));
        let v6 = is(ethertype::IPV6);
        if v6 || is(ethertype::IPV4) {
            let at = TAG * tags + if v6 { V6 } else { V4 };
            found.extend(destination(&facts, at, v6));
            facts.iter().filter_map(|fact| set(fact, at)).for_each(|set| found.extend(hosts(rules, set, v6)));
        }
    }
}

/// What must hold, and between what there is a choice.
fn parts<'c>(cond: &'c Cond, facts: &mut Vec<&'c Cond>, choices: &mut Vec<(&'c Cond, &'c Cond)>) {
    match cond {
        Cond::And(one, other) => {
            parts(one, facts, choices);
            parts(other, facts, choices);
        }
        Cond::Or(one, other) => choices.push((one, other)),
        fact => facts.push(fact),
    }
}

/// The number that a fact says stands there.
fn word(fact: &Cond, offset: u32, width: Width) -> Option<u32> {
    match fact {
        Cond::Compare(Value::Load(Load { at, width: of }), Relation::Equal, Value::Const(number))
            if *at == Place::fixed(offset) && *of == width =>
        {
            Some(*number)
        }
        _ => None,
    }
}

/// The address that the facts say stands there.
fn destination(facts: &[&Cond], at: u32, v6: bool) -> Option<IpAddr> {
    let four = |at: u32| facts.iter().find_map(|fact| word(fact, at, Width::Four));
    if !v6 {
        return four(at).map(|bits| IpAddr::from(bits.to_be_bytes()));
    }
    let bits = (0..4).try_fold(0u128, |bits, word| Some(bits << 32 | u128::from(four(at + 4 * word)?)))?;
    Some(IpAddr::from(bits.to_be_bytes()))
}

/// The set that a fact says the address there is in.
fn set(fact: &Cond, offset: u32) -> Option<usize> {
    match fact {
        Cond::In(Member { set, part: Part::V4 | Part::V6, at, .. }) if *at == Place::fixed(offset) => Some(*set),
        _ => None,
    }
}

/// The hosts of a family in a set.
fn hosts(rules: &Rules, set: usize, v6: bool) -> impl Iterator<Item = IpAddr> {
    let elements = rules.sets.get(set).map(|set| set.elements.as_slice()).unwrap_or_default();
    elements.iter().filter_map(move |element| match element {
        Element::V4(address, 32) if !v6 => Some(IpAddr::from(*address)),
        Element::V6(address, 128) if v6 => Some(IpAddr::from(*address)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::policy::{self, Request};

    /// The addresses of the first pool's service.
    #[track_caller]
    fn served(rules: &str, port: u16) -> Vec<String> {
        let text = format!(
            "set vips = {{ 10.0.0.1, 10.0.0.2, fd00::3, 10.1.0.0/16, 80 }}\npool cats via ipip {{ 10.9.0.1 }}\n{rules}"
        );
        let request = Request { policy: None, file: "", inbound: true, resolve: None };
        let files = &mut |_: &str| Err(Error::usage("no files"));
        let rules = policy::resolve(&policy::parse(&text).unwrap(), &request, files).unwrap();
        addresses(&rules, 0, port).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_name_the_addresses() {
        let none: [&str; 0] = [];
        assert_eq!(served("route cats when dst host 10.0.0.80 and tcp dst port 80", 80), ["10.0.0.80"]);
        assert_eq!(served("route cats when ip dst 10.0.0.80", 80), ["10.0.0.80"]);
        assert_eq!(served("route cats when dst host fd00::80 and tcp dst port 80", 80), ["fd00::80"]);
        assert_eq!(served("route cats when vlan 5 and dst host 10.0.0.80", 80), ["10.0.0.80"]);
        assert_eq!(
            served("route cats when (dst host 10.0.0.1 or dst host fd00::2) and tcp", 80),
            ["10.0.0.1", "fd00::2"]
        );
        assert_eq!(served("route cats when dst in vips", 80), ["10.0.0.1", "10.0.0.2", "fd00::3"]);
        assert_eq!(served("route cats when src host 10.0.0.80 and tcp", 80), none);
        assert_eq!(served("route cats when src host fd00::80 and tcp", 80), none);
        assert_eq!(served("route cats when not dst host 10.0.0.80", 80), none);
        assert_eq!(served("route cats when dst net 10.0.0.0/24", 80), none);
        assert_eq!(served("pass when dst host 10.0.0.1\nroute cats when tcp", 80), none);
    }

    #[test]
    fn addresses_of_the_port_come_first() {
        let rules = "route cats when dst host 10.0.0.1 and tcp dst port 80
                     route cats when dst host 10.0.0.2 and tcp dst port 443
                     route cats when dst host 10.0.0.1 and udp dst port 443";
        assert_eq!(served(rules, 80), ["10.0.0.1"]);
        assert_eq!(served(rules, 443), ["10.0.0.2"]);
        assert_eq!(served(rules, 8080), ["10.0.0.1", "10.0.0.2"]);
    }
}
