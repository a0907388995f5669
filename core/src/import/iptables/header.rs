//! Tests of single fields of a header.

use std::net::Ipv4Addr;

use crate::import::ranges;
use crate::import::term::{Family, Term};

type Reason = String;

/// A number, decimal or hexadecimal.
pub(super) fn number(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// An address with a mask that is no prefix's.
pub(super) fn with_holes(word: &str) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let (address, mask) = word.split_once('/')?;
    let (address, mask) = (address.parse().ok()?, mask.parse::<Ipv4Addr>().ok()?);
    (mask.to_bits().leading_ones() != mask.to_bits().count_ones()).then_some((address, mask))
}

/// `--tcp-flags MASK SET`
pub(super) fn flags(mask: &str, set: &str) -> Result<String, Reason> {
    let list = |words: &str| -> Result<Vec<String>, Reason> {
        let words = match words {
            "ALL" => "FIN,SYN,RST,PSH,ACK,URG",
            "NONE" => "",
            words => words,
        };
        let words = words.split(',').filter(|word| !word.is_empty());
        words
            .map(|word| match word {
                "FIN" | "SYN" | "RST" | "PSH" | "ACK" | "URG" => Ok(word.to_lowercase()),
                _ => Err(format!("no TCP flag {word} is known")),
            })
            .collect()
    };
    let (mask, set) = (list(mask)?, list(set)?);
    if mask.is_empty() || set.iter().any(|flag| !mask.contains(flag)) {
        return Err("no packet has flags that are not looked at".into());
    }
    let words = mask.iter().map(|flag| if set.contains(flag) { flag.clone() } else { format!("!{flag}") });
    Ok(format!("tcp {}", words.collect::<Vec<_>>().join(",")))
}

/// `TYPE`, `TYPE/CODE` or a name; none for all types.
pub(super) fn icmp(word: &str, v6: bool) -> Result<Option<Term>, Reason> {
    const NAMES: [(&str, bool, &str); 16] = [
        ("echo-reply", false, "0"),
        ("destination-unreachable", false, "3"),
        ("fragmentation-needed", false, "3/4"),
        ("port-unreachable", false, "3/3"),
        ("redirect", false, "5"),
        ("echo-request", false, "8"),
        ("time-exceeded", false, "11"),
        ("parameter-problem", false, "12"),
        ("destination-unreachable", true, "1"),
        ("packet-too-big", true, "2"),
        ("echo-request", true, "128"),
        ("echo-reply", true, "129"),
        ("router-solicitation", true, "133"),
        ("router-advertisement", true, "134"),
        ("neighbour-solicitation", true, "135"),
        ("neighbour-advertisement", true, "136"),
    ];
    if word == "any" {
        return Ok(None);
    }
    let name = word.replace("neighbor", "neighbour");
    let number =
        NAMES.iter().find(|(known, of_v6, _)| *known == name && *of_v6 == v6).map_or(word, |(.., number)| *number);
    let (kind, code) = number.split_once('/').map_or((number, None), |(kind, code)| (kind, Some(code)));
    let byte = |word: &str| word.parse::<u8>().map_err(|_| format!("no ICMP type {word} is known"));
    let (family, header) = if v6 { (Family::V6, "icmp6") } else { (Family::V4, "icmp") };
    let kind = format!("{header}[0] = {}", byte(kind)?);
    let text = match code {
        Some(code) => format!("({kind} and {header}[1] = {})", byte(code)?),
        None => kind,
    };
    Ok(Some(Term::new(family, text)))
}

/// `--length LOW:HIGH`: of the IP packet.
pub(super) fn length(word: &str, v6: bool) -> Result<Term, Reason> {
    let range = ranges::ports(word, ':').ok_or_else(|| format!("{word} is no length"))?;
    let (family, field) = if v6 { (Family::V6, "ip6[4:2] + 40") } else { (Family::V4, "ip[2:2]") };
    Ok(Term::new(family, format!("({field} >= {} and {field} <= {})", range.start(), range.end())))
}
