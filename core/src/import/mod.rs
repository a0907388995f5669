//! Rule sets of other tools as policies: ClassBench files, `iptables-save`, `nft -j list ruleset`, `ipset save`, lists of
//! prefixes.
//!
//! What a policy cannot say is left out and told, each rule with its reason. What is not left out means what it meant there, for
//! packets that are not tagged, and whose IPv6 header has no extension headers where ports and the like are asked for.

mod chains;
mod choice;
mod cidr;
mod classbench;
mod draft;
mod ipset;
mod iptables;
mod nft;
mod ranges;
mod recognise;
mod term;
#[cfg(test)]
mod tests;
mod tuple;

use crate::error::Result;
use crate::policy::Verdict;

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ClassBench: `@SRC DST SPORT : SPORT DPORT : DPORT PROTO/MASK`.
    Classbench,
    /// `iptables-save` or `ip6tables-save`; `ipset save` may stand before it.
    Iptables,
    /// `nft -j list ruleset`.
    Nft,
    /// `ipset save`.
    Ipset,
    /// An address or a prefix a line.
    Cidr,
}

/// How a text is imported.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Its format; recognised from the text where nothing is said.
    pub format: Option<Format>,
    /// A name for the set of a format that has no names for sets; any text, the file's name in most cases.
    pub name: &'a str,
    /// The chain to import, `NAME` or `TABLE/NAME`.
    pub chain: Option<&'a str>,
    /// The interface that the policy is for: what other rules ask for never holds then.
    pub interface: Option<&'a str>,
    /// The verdict of rules in formats that have none.
    pub verdict: Verdict,
}

/// A policy, and what is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The format of the text.
    pub format: Format,
    /// The policy.
    pub policy: String,
    /// How many rules it has.
    pub rules: usize,
    /// How many sets it has.
    pub sets: usize,
    /// What a policy cannot say.
    pub left_out: Vec<LeftOut>,
    /// What the user should know besides, a sentence each.
    pub notes: Vec<String>,
}

/// Something that a policy cannot say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeftOut {
    /// Its line, from 1; none in JSON.
    pub line: Option<u32>,
    /// Its words.
    pub text: String,
    /// Why.
    pub reason: String,
}

/// Makes a policy of a text.
///
/// # Errors
/// The format is not recognised, the text is not of its format, or it is not clear which chain is meant.
pub fn import(text: &str, request: &Request<'_>) -> Result<Imported> {
    // Editors of Windows begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let format = match request.format {
        Some(format) => format,
        None => recognise::format(text)?,
    };
    match format {
        Format::Classbench => classbench::import(text, request),
        Format::Iptables => iptables::import(text, request),
        Format::Nft => nft::import(text, request),
        Format::Ipset => ipset::import(text, request),
        Format::Cidr => cidr::import(text, request),
    }
}

/// Lines with their numbers, from 1, without blanks around them; empty ones left out.
fn lines(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(text.lines()).map(|(number, line)| (number, line.trim())).filter(|(_, line)| !line.is_empty())
}
