//! Fields of headers whose values have names.

use serde_json::Value;

use super::expr::{Test, one, several, values};
use super::sets::word;
use crate::filter::names;
use crate::import::term::{Family, Term};

type Reason = String;

/// An IP protocol by number or name.
pub(super) fn protocols(family: Family, right: &Value, negated: bool) -> Result<Test, Reason> {
    let mut texts = Vec::new();
    for value in values(right) {
        let word = word(value).unwrap_or_default();
        let number = match word.as_str() {
            "icmpv6" => Some(58),
            word => word.parse().ok().or_else(|| names::protocol(word).and_then(|number| u8::try_from(number).ok())),
        };
        let number = number.ok_or_else(|| format!("no protocol {value} is known"))?;
        texts.push(match family {
            Family::V4 | Family::V6 => format!("{} proto {number}", family.word()),
            _ => Term::protocol(Family::Ip, number).text,
        });
    }
    let term = Term::any(family, &texts);
    Ok(match negated {
        false => one(term),
        true if family.word().is_empty() => Test::Terms(vec![Term::new(Family::Ip, "(ip or ip6)"), Term::not(&[term])]),
        true => Test::Terms(vec![Term::new(family, family.word()), Term::not(&[term])]),
    })
}

/// EtherTypes.
pub(super) fn types(right: &Value, negated: bool) -> Result<Test, Reason> {
    several(Family::Any, "", right, negated, |value| {
        Ok(match word(value).unwrap_or_default().as_str() {
            "ip" => "ip".into(),
            "ip6" => "ip6".into(),
            "arp" => "arp".into(),
            "vlan" | "8021q" => "ether proto 0x8100".into(),
            word => match word.parse::<u16>() {
                Ok(number @ 1536..) => format!("ether proto {number:#x}"),
                _ => return Err(format!("no Ethernet type {value} is known")),
            },
        })
    })
}

/// ICMP types by number or name.
pub(super) fn icmp(v6: bool, right: &Value, negated: bool) -> Result<Test, Reason> {
    const NAMES: [(&str, bool, u8); 25] = [
        ("echo-reply", false, 0),
        ("destination-unreachable", false, 3),
        ("source-quench", false, 4),
        ("redirect", false, 5),
        ("echo-request", false, 8),
        ("router-advertisement", false, 9),
        ("router-solicitation", false, 10),
        ("time-exceeded", false, 11),
        ("parameter-problem", false, 12),
        ("timestamp-request", false, 13),
        ("timestamp-reply", false, 14),
        ("destination-unreachable", true, 1),
        ("packet-too-big", true, 2),
        ("time-exceeded", true, 3),
        ("parameter-problem", true, 4),
        ("echo-request", true, 128),
        ("echo-reply", true, 129),
        ("mld-listener-query", true, 130),
        ("mld-listener-report", true, 131),
        ("mld-listener-done", true, 132),
        ("nd-router-solicit", true, 133),
        ("nd-router-advert", true, 134),
        ("nd-neighbor-solicit", true, 135),
        ("nd-neighbor-advert", true, 136),
        ("nd-redirect", true, 137),
    ];
    let (family, header) = if v6 { (Family::V6, "icmp6") } else { (Family::V4, "icmp") };
    several(family, header, right, negated, |value| {
        let word = word(value).unwrap_or_default();
        let named = NAMES.iter().find(|(name, of_v6, _)| *name == word && *of_v6 == v6).map(|(.., number)| *number);
        let number = named.or_else(|| word.parse().ok()).ok_or_else(|| format!("no ICMP type {value} is known"))?;
        Ok(format!("{header}[0] = {number}"))
    })
}

/// DSCPs by number or name.
pub(super) fn dscp(family: Family, right: &Value, negated: bool) -> Result<Test, Reason> {
    several(family, family.word(), right, negated, |value| {
        let word = word(value).unwrap_or_default();
        let class = |digits: &str| digits.parse::<u32>().ok().filter(|class| *class < 8).map(|class| class << 3);
        let number = match word.strip_prefix("cs") {
            Some(digits) => class(digits),
            None => match word.as_str() {
                "ef" => Some(46),
                // Assured forwarding: a class and a drop precedence.
                word if word.starts_with("af") => match word.as_bytes() {
                    [_, _, class @ b'1'..=b'4', drop @ b'1'..=b'3'] => {
                        Some(8 * u32::from(class - b'0') + 2 * u32::from(drop - b'0'))
                    }
                    _ => None,
                },
                word => word.parse().ok().filter(|number| *number < 64),
            },
        };
        let number = number.ok_or_else(|| format!("no DSCP {value} is known"))?;
        Ok(match family {
            Family::V6 => format!("ip6[0:2] & 0xfc0 = {}", number << 6),
            _ => format!("ip[1] & 0xfc = {}", number << 2),
        })
    })
}

/// Versions of IP.
pub(super) fn versions(right: &Value, negated: bool) -> Result<Test, Reason> {
    let is = |version: &str| values(right).iter().all(|value| value.as_str() == Some(version));
    let family = match (is("ipv4"), is("ipv6")) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Ip,
    };
    several(family, "", right, negated, |value| match value.as_str() {
        Some("ipv4") => Ok("ip".into()),
        Some("ipv6") => Ok("ip6".into()),
        _ => Err(format!("{value} is no IP version")),
    })
}

/// `tcp flags syn` (any of them), `tcp flags & (syn | ack) == syn`.
pub(super) fn flags(mask: Option<&Value>, right: &Value, negated: bool, any: bool) -> Result<Term, Reason> {
    const ALL: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
    let text = if any {
        let texts: Vec<String> = flag_words(right)?.iter().map(|flag| format!("tcp {flag}")).collect();
        Term::any(Family::Ip, &texts).text
    } else {
        let mask = match mask {
            Some(mask) => flag_words(mask)?,
            None => ALL.map(str::to_owned).to_vec(),
        };
        let exactly = |value: &Value| {
            let set = flag_words(value)?;
            if set.iter().any(|flag| !mask.contains(flag)) {
                return Err("no packet has flags that are not looked at".into());
            }
            let words = mask.iter().map(|flag| if set.contains(flag) { flag.clone() } else { format!("!{flag}") });
            Ok(format!("tcp {}", words.collect::<Vec<_>>().join(",")))
        };
        let texts = match right.get("set") {
            Some(_) => values(right).into_iter().map(exactly).collect::<Result<Vec<String>, Reason>>()?,
            None => vec![exactly(right)?],
        };
        Term::any(Family::Ip, &texts).text
    };
    let term = Term::new(Family::Ip, text);
    Ok(if negated { Term::new(Family::Ip, format!("(tcp and not {})", term.text)) } else { term })
}

fn flag_words(value: &Value) -> Result<Vec<String>, Reason> {
    let values = match value.get("|").unwrap_or(value) {
        Value::Array(values) => values.iter().map(flag_words).collect::<Result<Vec<_>, _>>()?.concat(),
        Value::Number(number) if number.as_u64() == Some(0) => Vec::new(),
        Value::String(flag) => vec![flag.clone()],
        other => return Err(format!("{other} is no TCP flag")),
    };
    let known =
        |flag: &String| ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "ecn", "cwr"].contains(&flag.as_str());
    match values.iter().find(|flag| !known(flag)) {
        Some(flag) => Err(format!("no TCP flag {flag} is known")),
        None => Ok(values.into_iter().map(|flag| if flag == "ecn" { "ece".into() } else { flag }).collect()),
    }
}
