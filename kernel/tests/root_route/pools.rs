//! Random pools, and rules that route to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdpilot_core::cond::{Cond, Operator, Relation, Value};
use xdpilot_core::filter::{self, Context};
use xdpilot_core::policy::{Action, Backend, HashBy, Host, Method, Pool, Source, Verdict};
use xdpilot_core::rules::{Rule, Rules};

use crate::random::Random;

/// Numbers of servers in connection ids of QUIC: those of 5 backends of a pool, and some that others get later, or nobody.
pub(crate) const IDS: [u32; 9] = [1, 0xffff, 0x12_3456, 0, 0xdead_beef, 0xff_ffff, 2, u32::MAX, 0x1234];

/// What rules ask for, beside the packet's length: errors are judged by what they bring back.
const FILTERS: [&str; 8] = [
    "tcp dst port 80",
    "udp dst port 53",
    "dst net 192.0.2.80/30 and dst port 80",
    "dst in {2001:db8::/64} and tcp or udp port 53",
    "dst . tcp dst port in {192.0.2.81 . 80, 192.0.2.82 . 80, 2001:db8::51 . 80}",
    "dst . proto in {192.0.2.81 . tcp, 2001:db8::51 . udp, 2001:db8::52 . tcp}",
    "vlan and dst port 80",
    "src host 192.0.2.1 or src host 2001:db8::1",
];

/// A policy that routes to some pools, by the packet's length: to one to three, or so many that a table tells them apart.
pub(crate) fn rules(random: &mut Random) -> Rules {
    let (count, mask) = if random.once_in(5) { (5 + random.below(4), 7) } else { (1 + random.below(3), 3) };
    let pools: Vec<Pool> = (0..count).map(|index| pool(random, index)).collect();
    let asks = random.once_in(2);
    let filters: Vec<Cond> = (0..count).map(|_| filter(FILTERS[random.below(FILTERS.len())])).collect();
    let length = Value::Arithmetic(Box::new(Value::Length), Operator::And, Box::new(Value::Const(mask)));
    let by_length = |index| Cond::Compare(length.clone(), Relation::Equal, Value::Const(index as u32));
    let rule = |(index, pool): (usize, &Pool)| Rule {
        cond: if asks { filters[index].clone().and(by_length(index)) } else { by_length(index) },
        action: Action::Verdict(Verdict::Route(pool.name.clone())),
        line: 1 + index as u32,
        text: format!("route {}", pool.name),
    };
    Rules {
        name: "routed".into(),
        file: "routed.xdp".into(),
        rules: pools.iter().enumerate().map(rule).collect(),
        default: Verdict::Route("pool0".into()),
        default_line: 9,
        sets: Vec::new(),
        pools,
    }
}

/// What a filter asks of packets, and of errors.
fn filter(text: &str) -> Cond {
    let filter = filter::parse(text, 0..text.len()).unwrap();
    let context = Context { sets: &|_| None, inbound: true, resolve: None };
    let errors = filter::lower_returned(&filter, &context).unwrap();
    filter::lower(&filter, &context).unwrap().or(errors)
}

fn pool(random: &mut Random, index: usize) -> Pool {
    let method = method(random);
    let family = random.below(3);
    let translates = matches!(method, Method::Nat | Method::FullNat(_));
    let backends = (0..1 + random.below(5)).map(|number| backend(random, family, number, translates)).collect();
    Pool {
        name: format!("pool{index}"),
        method,
        hash: *random.pick(&[HashBy::Tuple, HashBy::Src, HashBy::Quic, HashBy::Quic]),
        sessions: *random.pick(&[1, 100, 1000]),
        timeout: *random.pick(&[1, 60, 300, 65_535]),
        backends,
        check: None,
        span: 0..0,
    }
}

fn method(random: &mut Random) -> Method {
    let v4 = Source { address: Ipv4Addr::new(172, 16, 0, 0).into(), length: *random.pick(&[16, 24, 32]) };
    let v6 = Source {
        address: "fd00::1:0:0".parse::<Ipv6Addr>().unwrap().into(),
        length: *random.pick(&[64, 96, 112, 128]),
    };
    let from = random.pick(&[vec![], vec![v4], vec![v4, v6], vec![v6]]).clone();
    match random.below(5) {
        0 => Method::Nat,
        1 => Method::FullNat(from),
        2 => Method::Ipip(from),
        3 => Method::Gue { port: *random.pick(&[6080, 9886, 65_535]), from },
        _ => Method::L2,
    }
}

fn backend(random: &mut Random, family: usize, number: usize, translates: bool) -> Backend {
    let v6 = family == 1 || family == 2 && random.once_in(2);
    let address: IpAddr = match v6 {
        false => Ipv4Addr::new(10, 9, random.below(256) as u8, 1 + number as u8).into(),
        true => Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, random.below(65_536) as u16, number as u16).into(),
    };
    Backend {
        host: Host::Address(address),
        port: translates.then(|| *random.pick(&[None, Some(8080), Some(80)])).flatten(),
        weight: *random.pick(&[1, 1, 2, 100, 0]),
        id: Some(IDS[number]),
        drain: random.once_in(10),
        span: 0..0,
    }
}
