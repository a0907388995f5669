//! The named sets of a table.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::{Table, of_kind, table_of, text};
use crate::cond::Layout;
use crate::import::draft::Draft;
use crate::import::ranges;
use crate::policy::{Element, element};

/// The type of IP protocols.
const PROTOCOL: &str = "inet_proto";

/// A set's name in the policy; a reason where a policy has no such set.
pub(super) type Known = Result<String, String>;

/// Puts the sets of a table into a policy: those that rules name.
pub(super) fn declare(objects: &[Value], table: Table<'_>, draft: &mut Draft) -> Vec<(String, Known)> {
    let rules: Vec<String> =
        of_kind(objects, "rule").filter(|rule| table_of(rule) == table).map(Value::to_string).collect();
    let mut sets = Vec::new();
    for set in of_kind(objects, "set").filter(|set| table_of(set) == table) {
        let name = text(set, "name");
        let reference = format!("\"@{name}\"");
        if !rules.iter().any(|rule| rule.contains(&reference)) {
            continue;
        }
        let listed = of_kind(objects, "element").filter(|more| table_of(more) == table && text(more, "name") == name);
        let filled = format!("\"set\":{reference}");
        if rules.iter().any(|rule| rule.contains(&filled)) {
            draft.note(format!("set {name} is filled by rules of nft; the policy's has what was in it"));
        }
        let known = elements([set].into_iter().chain(listed), draft).map(|elements| draft.set(name, &elements));
        sets.push((name.to_owned(), known.map_err(|reason| format!("set {name}: {reason}"))));
    }
    sets
}

/// What is in each set and map of a table, as it is written there.
pub(super) fn written(objects: &[Value], table: Table<'_>) -> HashMap<String, Vec<Value>> {
    let mut written: HashMap<String, Vec<Value>> = HashMap::new();
    for kind in ["set", "map", "element"] {
        for part in of_kind(objects, kind).filter(|part| table_of(part) == table) {
            let elements = part.get("elem").and_then(Value::as_array).into_iter().flatten();
            written.entry(text(part, "name").to_owned()).or_default().extend(elements.cloned());
        }
    }
    written
}

fn elements<'j>(parts: impl Iterator<Item = &'j Value>, draft: &mut Draft) -> Result<Vec<Element>, String> {
    const KINDS: [&str; 4] = ["ipv4_addr", "ipv6_addr", "inet_service", "ether_addr"];
    let (mut elements, mut other) = (Vec::new(), false);
    let mut columns: Option<Vec<&str>> = None;
    for part in parts {
        if let Some(kinds) = part.get("type").and_then(Value::as_array) {
            columns = Some(kinds.iter().filter_map(Value::as_str).collect());
            other |= kinds.len() > Layout::MOST
                || kinds.iter().any(|kind| kind.as_str().is_none_or(|kind| kind != PROTOCOL && !KINDS.contains(&kind)));
        } else {
            other |= part.get("type").is_some_and(|kind| kind.as_str().is_none_or(|kind| !KINDS.contains(&kind)));
        }
        for value in part.get("elem").and_then(Value::as_array).into_iter().flatten() {
            if value.get("elem").is_some_and(|elem| elem.get("timeout").or(elem.get("expires")).is_some()) {
                draft.note("elements of nft have timeouts; those of a policy's sets stay until they are taken out");
            }
            match &columns {
                _ if other => {}
                Some(columns) => elements.push(tuple(value, columns)?),
                None => elements.extend(self::value(value)?),
            }
        }
    }
    match other {
        true => {
            Err("a policy's sets have addresses, ports, Ethernet addresses, and tuples of them and protocols".into())
        }
        false => Ok(elements),
    }
}

/// A tuple of single values of these types.
fn tuple(value: &Value, columns: &[&str]) -> Result<Element, String> {
    let wrong = || format!("{value} is no tuple of single values");
    let value = value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value);
    let parts = value.get("concat").and_then(Value::as_array).filter(|parts| parts.len() == columns.len());
    let word = |(part, column): (&Value, &&str)| {
        let number = *column == PROTOCOL && part.is_u64();
        word(part).map(|word| if number { format!("proto {word}") } else { word })
    };
    let words: Option<Vec<String>> = parts.ok_or_else(wrong)?.iter().zip(columns).map(word).collect();
    element(&words.ok_or_else(wrong)?.join(" . "), 0..0).map_err(|_| wrong())
}

/// A value on the right side: an element, or a range or prefix of them.
pub(super) fn value(value: &Value) -> Result<Vec<Element>, String> {
    let wrong = || format!("{value} is no address, port or Ethernet address");
    if let Some(inner) = value.get("elem").and_then(|elem| elem.get("val")) {
        return self::value(inner);
    }
    if let Some(prefix) = value.get("prefix") {
        let length = prefix.get("len").and_then(Value::as_u64).and_then(|length| u8::try_from(length).ok());
        let address: Option<IpAddr> = text(prefix, "addr").parse().ok();
        let element = address.zip(length).and_then(|(address, length)| ranges::prefix(address, length));
        return element.map(|element| vec![element]).ok_or_else(wrong);
    }
    if let Some([low, high]) = value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return match (word(low), word(high)) {
            (Some(low), Some(high)) => one(&format!("{low}-{high}")).ok_or_else(wrong),
            _ => Err(wrong()),
        };
    }
    word(value).and_then(|word| one(&word)).ok_or_else(wrong)
}

/// A number or a text.
pub(super) fn word(value: &Value) -> Option<String> {
    value.as_u64().map(|number| number.to_string()).or_else(|| value.as_str().map(str::to_owned))
}

fn one(word: &str) -> Option<Vec<Element>> {
    let port = || ranges::ports(word, '-').map(|range| vec![Element::Ports(range)]);
    let mac = || match element(word, 0..0) {
        Ok(mac @ Element::Mac(_)) => Some(vec![mac]),
        _ => None,
    };
    ranges::addresses(word).or_else(port).or_else(mac)
}
