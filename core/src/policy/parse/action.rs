//! What a rule does, from words.

use std::net::IpAddr;

use super::cursor::{Cursor, decimal, near_or, quote};
use super::pool;
use crate::filter::names;
use crate::policy::scan::STATEMENTS;
use crate::policy::{Action, Assignment, Key, Limit, Unit, Verdict};
use crate::problem::Problem;

const ACTIONS: &str =
    "expected an action: pass, drop, reflect, tx, abort, redirect, route, count, sample, limit, set or decap";
const FIELDS: &str = "a field: src, dst, src port, dst port, ether src, ether dst, ttl, dscp, vlan push or vlan pop";
const RATES: &str = "expected packets (100/s, 5k/s) or bits (500kbit/s, 10mbit/s, 1gbit/s) in a second";
const KEYS: &str = "src, dst, src port, dst port or proto";

/// An action, up to its last word.
pub(super) fn action(cursor: &mut Cursor<'_>) -> Result<Action, Problem> {
    if let Some(verdict) = verdict(cursor)? {
        return Ok(Action::Verdict(verdict));
    }
    let (word, span) = cursor.peek();
    if !matches!(word, "count" | "sample" | "limit" | "set" | "decap") {
        return Err(match word {
            "" => cursor.expected("an action"),
            _ => Problem::new(span, format!("no action {}", quote(word))).hint(action_hint(word)),
        });
    }
    cursor.at = span.end;
    match word {
        "count" => Ok(Action::Count(cursor.name("counter")?.0.to_string())),
        "sample" => sample(cursor),
        "limit" => limit(cursor).map(Action::Limit),
        "decap" => Ok(Action::Set(Assignment::Decap)),
        _ => assignment(cursor).map(Action::Set),
    }
}

fn action_hint(word: &str) -> String {
    let filter_words = ["tcp", "udp", "icmp", "icmp6", "ip", "ip6", "arp", "src", "dst", "host", "net", "port", "not"];
    if filter_words.contains(&word) {
        return "a filter stands behind an action: drop when …".into();
    }
    near_or(word, STATEMENTS, ACTIONS)
}

/// A verdict; none where the next word is none.
pub(super) fn verdict(cursor: &mut Cursor<'_>) -> Result<Option<Verdict>, Problem> {
    let (word, span) = cursor.peek();
    let verdict = match word {
        "abort" => Verdict::Abort,
        "drop" => Verdict::Drop,
        "pass" => Verdict::Pass,
        "tx" => Verdict::Tx,
        "reflect" => Verdict::Reflect,
        "redirect" => {
            cursor.at = span.end;
            return Ok(Some(Verdict::Redirect(target(cursor)?)));
        }
        "route" => {
            cursor.at = span.end;
            return Ok(Some(Verdict::Route(pool::name(cursor)?.0.to_string())));
        }
        _ => return Ok(None),
    };
    cursor.at = span.end;
    Ok(Some(verdict))
}

/// An interface or a container.
pub(super) fn target(cursor: &mut Cursor<'_>) -> Result<String, Problem> {
    let (word, span) = cursor.peek();
    if matches!(word, "" | "when") || word.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(cursor.expected("a target: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE"));
    }
    cursor.at = span.end;
    Ok(word.to_string())
}

fn sample(cursor: &mut Cursor<'_>) -> Result<Action, Problem> {
    let (word, span) = cursor.peek();
    let one_in = word.strip_prefix("1/").and_then(decimal).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let Some(one_in) = one_in else {
        let what = if word.is_empty() { "sample needs a share".into() } else { format!("{} is no share", quote(word)) };
        return Err(Problem::new(span, what).hint("expected 1/N: sample 1/1000 copies each thousandth packet"));
    };
    cursor.at = span.end;
    let snap = match cursor.take("snap") {
        true => u32::try_from(cursor.number("a number of bytes", 1, u64::from(u32::MAX))?).ok(),
        false => None,
    };
    Ok(Action::Sample { one_in, snap })
}

/// `100/s per src burst 200`, the last two in any order.
fn limit(cursor: &mut Cursor<'_>) -> Result<Limit, Problem> {
    let (word, span) = cursor.peek();
    let (rate, unit) = rate(word).ok_or_else(|| {
        let what = if word.is_empty() { "limit needs a rate".into() } else { format!("{} is no rate", quote(word)) };
        Problem::new(span.clone(), what).hint(RATES)
    })?;
    cursor.at = span.end;
    let mut limit = Limit { rate, unit, burst: rate, per: Vec::new() };
    let mut burst_said = false;
    loop {
        let (word, span) = cursor.peek();
        let said_twice = match word {
            "per" => !limit.per.is_empty(),
            "burst" => burst_said,
            _ => return Ok(limit),
        };
        if said_twice {
            return Err(Problem::new(span, format!("{word} is said twice")));
        }
        cursor.at = span.end;
        if word == "per" {
            limit.per = keys(cursor)?;
        } else {
            (limit.burst, burst_said) = (burst(cursor, unit)?, true);
        }
    }
}

/// A number with `k`, `m` or `g` behind it: thousands, millions, thousands of millions. Never zero.
pub(super) fn scaled(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (text.strip_suffix('k')?, 1_000),
        b'm' => (text.strip_suffix('m')?, 1_000_000),
        b'g' => (text.strip_suffix('g')?, 1_000_000_000),
        _ => (text, 1),
    };
    decimal(digits)?.checked_mul(factor).filter(|number| *number > 0)
}

fn rate(word: &str) -> Option<(u64, Unit)> {
    let amount = word.strip_suffix("/s")?;
    match amount.strip_suffix("bit") {
        Some(bits) => Some((scaled(bits)?, Unit::Bits)),
        None => Some((scaled(amount)?, Unit::Packets)),
    }
}

fn burst(cursor: &mut Cursor<'_>, unit: Unit) -> Result<u64, Problem> {
    let (word, span) = cursor.word();
    let (amount, hint) = match unit {
        Unit::Packets => (scaled(word), "expected a number of packets: burst 200, burst 5k"),
        Unit::Bits => (word.strip_suffix("bit").and_then(scaled), "expected a number of bits: burst 500kbit"),
    };
    amount.ok_or_else(|| Problem::new(span, format!("{:?} is no burst", quote(word))).hint(hint))
}

fn keys(cursor: &mut Cursor<'_>) -> Result<Vec<Key>, Problem> {
    let mut keys = Vec::new();
    loop {
        let (word, span) = cursor.word();
        let key = match word {
            "src" if cursor.take("port") => Key::SrcPort,
            "dst" if cursor.take("port") => Key::DstPort,
            "src" => Key::Src,
            "dst" => Key::Dst,
            "proto" => Key::Protocol,
            _ => {
                let what = format!("a limit cannot be per {:?}", quote(word));
                return Err(Problem::new(span, what).hint(near_or(
                    word,
                    ["src", "dst", "proto"],
                    &format!("expected {KEYS}"),
                )));
            }
        };
        if keys.contains(&key) {
            return Err(Problem::new(span, format!("per {word} is said twice")));
        }
        keys.push(key);
        if !cursor.sign(',') {
            return Ok(keys);
        }
    }
}

fn assignment(cursor: &mut Cursor<'_>) -> Result<Assignment, Problem> {
    let (word, span) = cursor.word();
    match word {
        "src" if cursor.take("port") => port(cursor).map(Assignment::SrcPort),
        "dst" if cursor.take("port") => port(cursor).map(Assignment::DstPort),
        "src" => Ok(match address(cursor)? {
            IpAddr::V4(address) => Assignment::SrcV4(address),
            IpAddr::V6(address) => Assignment::SrcV6(address),
        }),
        "dst" => Ok(match address(cursor)? {
            IpAddr::V4(address) => Assignment::DstV4(address),
            IpAddr::V6(address) => Assignment::DstV6(address),
        }),
        "ether" if cursor.take("src") => cursor.mac().map(Assignment::EtherSrc),
        "ether" if cursor.take("dst") => cursor.mac().map(Assignment::EtherDst),
        "ether" => Err(cursor.expected("src or dst")),
        "ttl" => Ok(Assignment::Ttl(small(cursor.number("a time to live", 0, 255)?))),
        "dscp" => Ok(Assignment::Dscp(small(cursor.number("a DSCP", 0, 63)?))),
        "vlan" if cursor.take("pop") => Ok(Assignment::VlanPop),
        "vlan" if cursor.take("push") => {
            let id = cursor.number("the number of a VLAN", 0, 4095)?;
            Ok(Assignment::VlanPush(u16::try_from(id).unwrap_or_default()))
        }
        "vlan" => Err(cursor.expected("push or pop")),
        _ => {
            let what = if word.is_empty() { "set needs a field".into() } else { format!("no field {}", quote(word)) };
            let names = ["src", "dst", "ether", "ttl", "dscp", "vlan"];
            Err(Problem::new(span, what).hint(near_or(word, names, &format!("expected {FIELDS}"))))
        }
    }
}

/// What is known to be at most 255.
fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn address(cursor: &mut Cursor<'_>) -> Result<IpAddr, Problem> {
    let (word, span) = cursor.word();
    let problem = || Problem::new(span, format!("{:?} is not an address", quote(word)));
    word.parse().map_err(|_| problem().hint("expected an IPv4 or IPv6 address"))
}

fn port(cursor: &mut Cursor<'_>) -> Result<u16, Problem> {
    let (word, span) = cursor.word();
    let port = names::service(word).map(|service| service.port);
    let port = port.or_else(|| decimal(word).and_then(|port| u16::try_from(port).ok()));
    let problem = || Problem::new(span, format!("{:?} is not a port", quote(word)));
    port.ok_or_else(|| problem().hint(near_or(word, names::services(), "expected a port: 80 or http")))
}
