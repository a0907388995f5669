//! Random pools, and rules that route to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use xdpilot_core::cond::{Cond, Operator, Relation, Value};
use xdpilot_core::policy::{Action, Backend, HashBy, Host, Method, Pool, Source, Verdict};
use xdpilot_core::rules::{Rule, Rules};

use crate::random::Random;

/// Numbers of servers in connection ids of QUIC: those of 5 backends of a pool, and some that others get later, or nobody.
pub(crate) const IDS: [u32; 9] = [1, 0xffff, 0x12_3456, 0, 0xdead_beef, 0xff_ffff, 2, u32::MAX, 0x1234];

/// A policy that routes to some pools, by the packet's length: to one to three, or so many that a table tells them apart.
pub(crate) fn rules(random: &mut Random) -> Rules {
    let (count, mask) = if random.once_in(5) { (5 + random.below(4), 7) } else { (1 + random.below(3), 3) };
    let pools: Vec<Pool> = (0..count).map(|index| pool(random, index)).collect();
    let rule = |(index, pool): (usize, &Pool)| Rule {
        cond: Cond::Compare(
            Value::Arithmetic(Box::new(Value::Length), Operator::And, Box::new(Value::Const(mask))),
            Relation::Equal,
            Value::Const(index as u32),
        ),
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
