//! The tests of a rule of nft: a field of the packet beside a value.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::fields::{dscp, flags, icmp, protocols, types, versions};
use super::sets::{self, word};
use super::{Context, text};
use crate::import::ranges;
use crate::import::term::{Family, Side, Term};
use crate::policy::Element;

type Reason = String;

/// What a test comes to.
#[derive(Debug)]
pub(super) enum Test {
    /// All of these.
    Terms(Vec<Term>),
    /// All of one of these.
    Any(Vec<Vec<Term>>),
    /// It holds for no packet that the policy sees; why.
    Never(Option<String>),
}

/// What a test means.
pub(super) fn matches(value: &Value, context: &Context<'_>) -> Result<Test, Reason> {
    let part = |field: &str| value.get(field).ok_or_else(|| format!("{value} has no {field}"));
    let (left, right) = (part("left")?, part("right")?);
    // Sets of what a policy's sets do not have are written out.
    let listed = listed(right, context);
    let right = listed.as_ref().unwrap_or(right);
    let negated = match text(value, "op") {
        "==" | "in" => false,
        "!=" => true,
        operator => return ordered(left, operator, right),
    };
    if let Some(meta) = left.get("meta") {
        return self::meta(text(meta, "key"), right, negated, context);
    }
    if let Some(fields) = left.get("concat").and_then(Value::as_array) {
        return tuples(fields, right, negated, context);
    }
    let field = left.get("payload").unwrap_or(left);
    if text(field, "protocol") == "tcp" && text(field, "field") == "flags" {
        let any = text(value, "op") == "in";
        return flags(None, right, negated, any).map(one);
    }
    if let Some([payload, mask]) = left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
        let field = payload.get("payload").unwrap_or(payload);
        if text(field, "protocol") == "tcp" && text(field, "field") == "flags" {
            return flags(Some(mask), right, negated, false).map(one);
        }
        return masked(field, mask, right, negated);
    }
    match left.get("payload") {
        Some(payload) => payload_test(text(payload, "protocol"), text(payload, "field"), right, negated, context),
        None => Err(match left.as_object().and_then(|left| left.keys().next()).map(String::as_str) {
            Some("ct") => "connections are not known where a policy stands, before the kernel's stack".into(),
            Some(kind) => format!("{kind} has no counterpart"),
            None => format!("{left} is no field"),
        }),
    }
}

/// The elements of a named set that is none of the policy's.
fn listed(right: &Value, context: &Context<'_>) -> Option<Value> {
    let name = right.as_str()?.strip_prefix('@')?;
    let (_, known) = context.sets.iter().find(|(known, _)| known == name)?;
    let written = context.written.get(name).filter(|_| known.is_err())?;
    let value = |element: &Value| element.get("elem").and_then(|elem| elem.get("val")).unwrap_or(element).clone();
    Some(serde_json::json!({ "set": written.iter().map(value).collect::<Vec<_>>() }))
}

/// Fields beside each other, of which one of several tuples must hold.
fn tuples(fields: &[Value], right: &Value, negated: bool, context: &Context<'_>) -> Result<Test, Reason> {
    if let Some(set) = named(right, context)? {
        return in_tuples(fields, &set, negated);
    }
    if negated {
        return Err("tuples of which none may hold have no counterpart".into());
    }
    let mut any = Vec::new();
    for tuple in values(right) {
        let tuple = tuple.get("elem").and_then(|elem| elem.get("val")).unwrap_or(tuple);
        let parts = tuple.get("concat").and_then(Value::as_array).filter(|parts| parts.len() == fields.len());
        let parts = parts.ok_or_else(|| format!("{tuple} is no tuple of {} parts", fields.len()))?;
        let mut all = Some(Vec::new());
        for (left, right) in fields.iter().zip(parts) {
            match (matches(&serde_json::json!({ "op": "==", "left": left, "right": right }), context)?, &mut all) {
                (Test::Terms(terms), Some(all)) => all.extend(terms),
                (Test::Any(more), Some(all)) => all.push(Term::one_of(&more)),
                (Test::Never(_), _) => all = None,
                (_, None) => {}
            }
        }
        any.extend(all);
    }
    Ok(if any.is_empty() { Test::Never(None) } else { Test::Any(any) })
}

/// Fields beside each other that are a tuple of a set, or all there and none of its tuples.
fn in_tuples(fields: &[Value], set: &str, negated: bool) -> Result<Test, Reason> {
    let (mut words, mut there) = (Vec::new(), Vec::new());
    for field in fields {
        let (word, term) = column(field)?;
        words.push(word);
        there.extend(term);
    }
    let family = there.iter().map(|term| term.family).find(|family| *family != Family::Ip).unwrap_or(Family::Ip);
    let inside = Term::new(family, format!("{} in {set}", words.join(" . ")));
    if negated {
        return Ok(Test::Terms(there.into_iter().chain([Term::not(&[inside])]).collect()));
    }
    // A protocol's field does not say by itself whose it is.
    let said = words.iter().any(|word| word.starts_with("ip")) || !matches!(family, Family::V4 | Family::V6);
    let version = (!said).then(|| Term::new(family, family.word()));
    Ok(Test::Terms(version.into_iter().chain([inside]).collect()))
}

/// A field in a tuple, and the test that a packet has it.
fn column(field: &Value) -> Result<(String, Option<Term>), Reason> {
    let payload = field.get("payload").unwrap_or(field);
    let (protocol, name) = (text(payload, "protocol"), text(payload, "field"));
    let ip = || Term::new(Family::Ip, "(ip or ip6)");
    if field.get("meta").is_some_and(|meta| text(meta, "key") == "l4proto") {
        return Ok(("proto".into(), Some(ip())));
    }
    if let Some((transport, side)) = port(protocol, name) {
        let before = if transport.is_empty() { String::new() } else { format!("{transport} ") };
        let all = Term::ports(transport, &[side], &[0..=u16::MAX]);
        return Ok((format!("{before}{} port", side.word()), Some(all)));
    }
    let end = |name: &str| if name == "saddr" { "src" } else { "dst" };
    match (protocol, name) {
        ("ip", "saddr" | "daddr") => Ok((format!("ip {}", end(name)), Some(Term::new(Family::V4, "ip")))),
        ("ip6", "saddr" | "daddr") => Ok((format!("ip6 {}", end(name)), Some(Term::new(Family::V6, "ip6")))),
        ("ether", "saddr" | "daddr") => Ok((format!("ether {}", end(name)), None)),
        ("ip", "protocol") => Ok(("proto".into(), Some(Term::new(Family::V4, "ip")))),
        ("ip6", "nexthdr") => Ok(("proto".into(), Some(Term::new(Family::V6, "ip6")))),
        _ => Err(format!("{field} in a tuple has no counterpart")),
    }
}

/// Some bits of a field that is a number.
fn masked(field: &Value, mask: &Value, right: &Value, negated: bool) -> Result<Test, Reason> {
    let (protocol, name) = (text(field, "protocol"), text(field, "field"));
    let found = bytes(protocol, name).zip(mask.as_u64());
    let ((family, bytes), mask) = found.ok_or_else(|| format!("bits of {protocol} {name} have no counterpart"))?;
    several(family, bytes.split('[').next().unwrap_or_default(), right, negated, |value| {
        let number = value.as_u64().ok_or_else(|| format!("{value} is no number"))?;
        Ok(format!("{bytes} & {mask:#x} = {number}"))
    })
}

pub(super) fn one(term: Term) -> Test {
    Test::Terms(vec![term])
}

/// `<`, `>`, `<=` and `>=` of fields that are numbers.
fn ordered(left: &Value, operator: &str, right: &Value) -> Result<Test, Reason> {
    let payload = left.get("payload").unwrap_or(left);
    let (protocol, field) = (text(payload, "protocol"), text(payload, "field"));
    let number =
        word(right).and_then(|word| word.parse::<u16>().ok()).ok_or_else(|| format!("{right} is no number"))?;
    if let Some((transport, side)) = port(protocol, field) {
        let range = match operator {
            "<" => number.checked_sub(1).map(|last| 0..=last),
            "<=" => Some(0..=number),
            ">" => number.checked_add(1).map(|first| first..=u16::MAX),
            ">=" => Some(number..=u16::MAX),
            _ => return Err(format!("{operator} has no counterpart")),
        };
        return Ok(range.map_or(Test::Never(None), |range| one(Term::ports(transport, &[side], &[range]))));
    }
    let (family, bytes) =
        bytes(protocol, field).ok_or_else(|| format!("{operator} of {protocol} {field} has no counterpart"))?;
    match operator {
        "<" | ">" | "<=" | ">=" => Ok(one(Term::new(family, format!("{bytes} {operator} {number}")))),
        _ => Err(format!("{operator} has no counterpart")),
    }
}

/// Fields that are compared as numbers.
fn bytes(protocol: &str, field: &str) -> Option<(Family, &'static str)> {
    Some(match (protocol, field) {
        ("ip", "ttl") => (Family::V4, "ip[8]"),
        ("ip", "length") => (Family::V4, "ip[2:2]"),
        ("ip", "id") => (Family::V4, "ip[4:2]"),
        ("ip", "frag-off") => (Family::V4, "ip[6:2]"),
        ("ip6", "hoplimit") => (Family::V6, "ip6[7]"),
        ("ip6", "length") => (Family::V6, "ip6[4:2]"),
        ("udp", "length") => (Family::V4, "udp[4:2]"),
        ("icmp", "code") => (Family::V4, "icmp[1]"),
        ("icmpv6", "code") => (Family::V6, "icmp6[1]"),
        _ => return None,
    })
}

fn port(protocol: &str, field: &str) -> Option<(&'static str, Side)> {
    let transport = match protocol {
        "tcp" => "tcp",
        "udp" => "udp",
        "sctp" => "sctp",
        "th" => "",
        _ => return None,
    };
    match field {
        "sport" => Some((transport, Side::Src)),
        "dport" => Some((transport, Side::Dst)),
        _ => None,
    }
}

/// A field of a header beside one or several values.
fn payload_test(
    protocol: &str,
    field: &str,
    right: &Value,
    negated: bool,
    context: &Context<'_>,
) -> Result<Test, Reason> {
    if let Some((transport, side)) = port(protocol, field) {
        return ports(transport, side, right, negated, context);
    }
    let side = match field {
        "saddr" => Some(Side::Src),
        "daddr" => Some(Side::Dst),
        _ => None,
    };
    match (protocol, side, field) {
        ("ip" | "ip6" | "ether", Some(side), _) => addresses(protocol, side, right, negated, context),
        ("ip", _, "protocol") => protocols(Family::V4, right, negated),
        ("ip6", _, "nexthdr") => protocols(Family::V6, right, negated),
        ("ether", _, "type") => types(right, negated),
        ("icmp" | "icmpv6", _, "type") => icmp(protocol == "icmpv6", right, negated),
        ("ip", _, "dscp") => dscp(Family::V4, right, negated),
        ("ip6", _, "dscp") => dscp(Family::V6, right, negated),
        _ => {
            let (family, bytes) =
                bytes(protocol, field).ok_or_else(|| format!("{protocol} {field} has no counterpart"))?;
            let number = |value: &Value| {
                let number = word(value).and_then(|word| word.parse::<u32>().ok());
                number.ok_or_else(|| format!("{value} is no number"))
            };
            let text = |value: &Value| match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
                Some([low, high]) => Ok(format!("({bytes} >= {} and {bytes} <= {})", number(low)?, number(high)?)),
                _ => Ok(format!("{bytes} = {}", number(value)?)),
            };
            several(family, bytes.split('[').next().unwrap_or_default(), right, negated, text)
        }
    }
}

/// The values of an anonymous set, or the only one.
pub(super) fn values(right: &Value) -> Vec<&Value> {
    match right.get("set").unwrap_or(right) {
        Value::Array(values) => values.iter().collect(),
        value => vec![value],
    }
}

/// A test for each of several values of a field. A packet without the header `of` has no such field: it matches neither the
/// test nor its opposite.
pub(super) fn several(
    family: Family,
    of: &str,
    right: &Value,
    negated: bool,
    text: impl Fn(&Value) -> Result<String, Reason>,
) -> Result<Test, Reason> {
    let texts = values(right).into_iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let inside = Term::any(family, &texts);
    let has = (!of.is_empty()).then(|| Term::new(family, of));
    Ok(Test::Terms(match negated {
        true => has.into_iter().chain([Term::not(&[inside])]).collect(),
        false => vec![inside],
    }))
}

/// The name in the policy of a set that is named here.
fn named(right: &Value, context: &Context<'_>) -> Result<Option<String>, Reason> {
    let Some(name) = right.as_str().and_then(|word| word.strip_prefix('@')) else { return Ok(None) };
    let known = context.sets.iter().find(|(known, _)| known == name).map(|(_, known)| known);
    known.ok_or_else(|| format!("there is no set {name}"))?.clone().map(Some)
}

/// A packet without such ports matches neither a test of them nor its opposite.
fn ports(transport: &str, side: Side, right: &Value, negated: bool, context: &Context<'_>) -> Result<Test, Reason> {
    if let Some(set) = named(right, context)? {
        let before = if transport.is_empty() { String::new() } else { format!("{transport} ") };
        let inside = Term::new(Family::Ip, format!("{before}{} port in {set}", side.word()));
        if !negated {
            return Ok(one(inside));
        }
        return Ok(Test::Terms(vec![Term::ports(transport, &[side], &[0..=u16::MAX]), Term::not(&[inside])]));
    }
    let mut found: Vec<RangeInclusive<u16>> = Vec::new();
    for value in values(right) {
        for element in sets::value(value)? {
            match element {
                Element::Ports(range) => found.push(range),
                other => return Err(format!("{other} is no port")),
            }
        }
    }
    if negated {
        found = ranges::other_ports(&found);
    }
    if found.is_empty() { Ok(Test::Never(None)) } else { Ok(one(Term::ports(transport, &[side], &found))) }
}

fn addresses(protocol: &str, side: Side, right: &Value, negated: bool, context: &Context<'_>) -> Result<Test, Reason> {
    let family = match protocol {
        "ip" => Family::V4,
        "ip6" => Family::V6,
        _ => Family::Any,
    };
    let terms = |inside: Term| match (negated, family) {
        (false, _) => vec![inside],
        // The field is there, and has another value.
        (true, Family::Any) => vec![Term::not(&[inside])],
        (true, _) => vec![Term::new(family, family.word()), Term::not(&[inside])],
    };
    if let Some(set) = named(right, context)? {
        return Ok(Test::Terms(terms(Term::new(family, format!("{protocol} {} in {set}", side.word())))));
    }
    let mut elements = Vec::new();
    for value in values(right) {
        elements.extend(sets::value(value)?);
    }
    let fits = |element: &Element| {
        matches!(
            (element, family),
            (Element::V4(..), Family::V4) | (Element::V6(..), Family::V6) | (Element::Mac(_), Family::Any)
        )
    };
    if !elements.iter().all(fits) {
        return Err(format!("{right} is no address of {protocol}"));
    }
    if family == Family::Any {
        let texts: Vec<String> = elements.iter().map(|mac| format!("ether {} host {mac}", side.word())).collect();
        return Ok(Test::Terms(terms(Term::any(family, &texts))));
    }
    match Term::addresses(side, &elements) {
        Some(term) => Ok(Test::Terms(terms(term))),
        None if negated => Ok(Test::Never(None)),
        None => Ok(one(Term::new(family, family.word()))),
    }
}

/// What the kernel knows beside the packet's bytes.
fn meta(key: &str, right: &Value, negated: bool, context: &Context<'_>) -> Result<Test, Reason> {
    match key {
        "l4proto" => {
            let family = if context.family == Family::Any { Family::Ip } else { context.family };
            protocols(family, right, negated)
        }
        "nfproto" => versions(right, negated),
        "protocol" => types(right, negated),
        "length" => Err("the length that nft knows is that without the Ethernet header".into()),
        "iif" | "iifname" => interface(right, negated, context),
        "oif" | "oifname" => Err("where a packet will leave is not known when it arrives".into()),
        _ => Err(format!("meta {key} has no counterpart")),
    }
}

/// A policy is for one interface: there a test of the interface always holds or never.
fn interface(right: &Value, negated: bool, context: &Context<'_>) -> Result<Test, Reason> {
    let names: Vec<String> = values(right).into_iter().filter_map(word).collect();
    let is = |name: &String, interface: &str| match name.strip_suffix('*') {
        Some(prefix) => interface.starts_with(prefix),
        None => interface == name,
    };
    let holds = match context.interface {
        Some(interface) => names.iter().any(|name| is(name, interface)),
        None if names == ["lo"] => false,
        None => {
            return Err(format!("a policy does not look at interfaces: say which it is for, --on {}", names.join(" ")));
        }
    };
    let not = if negated { "not " } else { "" };
    Ok(if holds == negated {
        let names = names.join(", ");
        Test::Never(Some(format!("rules for packets {not}of {names} are not needed: the policy is for others")))
    } else {
        Test::Terms(Vec::new())
    })
}
