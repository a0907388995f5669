//! Which format a text has, by its first line that says something.

use super::{Format, lines, ranges};
use crate::error::{Error, Result};

/// The format of a text.
pub(super) fn format(text: &str) -> Result<Format> {
    let mut said = lines(text).filter(|(_, line)| !line.starts_with(['#', ';']));
    let Some((number, line)) = said.next() else {
        return Err(unknown().cause("nothing stands in it"));
    };
    let first = line.split_whitespace().next().unwrap_or_default();
    match first {
        _ if first.starts_with('{') => Ok(Format::Nft),
        _ if first.starts_with('@') => Ok(Format::Classbench),
        _ if first.starts_with('*') => Ok(Format::Iptables),
        // Sets may stand before the rules that use them.
        "create" | "add" if said.any(|(_, line)| line.starts_with('*')) => Ok(Format::Iptables),
        "create" | "add" => Ok(Format::Ipset),
        "table" => Err(unknown()
            .cause("this is nft's own language, of which only the JSON form is read")
            .mend("nft -j list ruleset | xdpilot import -")),
        _ if ranges::addresses(first.trim_end_matches([',', ';'])).is_some() => Ok(Format::Cidr),
        _ => Err(unknown().cause(format!("line {number} is none of them: {line}"))),
    }
}

fn unknown() -> Error {
    Error::usage(
        "recognise the format: ClassBench, iptables-save, nft -j list ruleset, ipset save or a list of prefixes",
    )
    .mend("xdpilot import --format FORMAT FILE")
}
