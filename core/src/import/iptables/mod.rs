//! `iptables-save` and `ip6tables-save`: the chain that sees packets that arrive.

mod header;
mod limit;
mod rule;
mod words;

use super::chains::{self, Chain, Rule};
use super::choice;
use super::draft::Draft;
use super::ipset::{self, Ipset, Kind};
use super::term::Family;
use super::{Format, Imported, Request, lines};
use crate::error::Error;
use crate::policy::Verdict;

/// The built-in chains that see packets that arrive, in the order in which a packet meets them.
const INCOMING: [(&str, &str); 4] =
    [("raw", "PREROUTING"), ("mangle", "PREROUTING"), ("mangle", "INPUT"), ("filter", "INPUT")];

/// A table.
#[derive(Debug)]
struct Table {
    name: String,
    chains: Vec<Chain>,
    /// Those that the kernel calls.
    built_in: Vec<String>,
}

/// What a rule may refer to.
#[derive(Debug)]
struct Context<'a> {
    family: Family,
    interface: Option<&'a str>,
    sets: Vec<(String, Known)>,
    /// The same as they were read.
    ipsets: &'a [Ipset],
}

/// A set: the name that the policy has for it and its kind, or why it has none.
type Known = Result<(String, Kind), String>;

/// Makes a policy of a chain and those that it jumps to.
pub(super) fn import(text: &str, request: &Request<'_>) -> Result<Imported, Error> {
    let mut draft = Draft::default();
    let sets = sets(text, &mut draft);
    let known = sets.iter().map(|set| (set.name.clone(), declare(set, text, &mut draft))).collect();
    let context = Context { family: family(text), interface: request.interface, sets: known, ipsets: &sets };
    let tables = tables(text, &context, &mut draft);
    let (table, base) = choose(&tables, request.chain)?;
    tell_others(&tables, (table, base), &mut draft);
    chains::flatten(&table.chains, base, context.family, &mut draft)?;
    draft.finish(Format::Iptables)
}

/// The sets of `ipset save` before the tables.
fn sets(text: &str, draft: &mut Draft) -> Vec<Ipset> {
    let mut sets = Vec::new();
    for (number, line) in lines(text) {
        if line.starts_with("create ") || line.starts_with("add ") {
            ipset::read(number, line, &mut sets, draft);
        }
    }
    sets
}

/// Puts a set into the policy if a rule names it.
fn declare(set: &Ipset, text: &str, draft: &mut Draft) -> Known {
    let named = text.lines().any(|line| {
        let mut words = line.split_whitespace().skip_while(|word| *word != "--match-set").skip(1);
        words.next() == Some(set.name.as_str())
    });
    match &set.kind {
        Err(reason) => Err(format!("set {}: {reason}", set.name)),
        Ok(_) if !named => Err(String::new()),
        Ok(_) => set.declare(draft).ok_or_else(String::new),
    }
}

/// IPv6 where the text says so, or has addresses or protocols of IPv6 alone.
fn family(text: &str) -> Family {
    if text.lines().any(|line| line.starts_with('#') && line.contains("by iptables-save")) {
        return Family::V4;
    }
    let address = |word: &str| word.split('/').next().is_some_and(|word| word.parse::<std::net::Ipv6Addr>().is_ok());
    let words = |line: &str| line.split_whitespace().any(|word| address(word) || matches!(word, "ipv6-icmp" | "icmp6"));
    let v6 = |line: &str| line.contains("by ip6tables-save") || line.starts_with("-A") && words(line);
    if text.lines().any(v6) { Family::V6 } else { Family::V4 }
}

/// Reads the tables; lines that are not understood are left out.
fn tables(text: &str, context: &Context<'_>, draft: &mut Draft) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for (number, line) in lines(text) {
        if line.starts_with('#') || line == "COMMIT" || line.starts_with("create ") || line.starts_with("add ") {
            continue;
        }
        if let Some(name) = line.strip_prefix('*') {
            tables.push(Table { name: name.trim().to_owned(), chains: Vec::new(), built_in: Vec::new() });
            continue;
        }
        let done = match tables.last_mut() {
            None => Err("it stands before the first table".to_owned()),
            Some(table) => table.line(number, line, context),
        };
        if let Err(reason) = done {
            draft.leave_out(Some(number), line, reason);
        }
    }
    tables
}

impl Table {
    fn line(&mut self, number: u32, line: &str, context: &Context<'_>) -> Result<(), String> {
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_whitespace();
            let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or("-"));
            let chain = self.chain(name);
            chain.policy = if policy == "DROP" { Verdict::Drop } else { Verdict::Pass };
            if policy != "-" {
                self.built_in.push(name.to_owned());
            }
            return Ok(());
        }
        let words = words::split(line)?;
        let mut rest = words.as_slice();
        // Packets and bytes, of iptables-save -c.
        if rest.first().is_some_and(|word| word.starts_with('[')) {
            rest = &rest[1..];
        }
        let [add, chain, rest @ ..] = rest else { return Err(UNKNOWN.into()) };
        if add != "-A" && add != "--append" {
            return Err(UNKNOWN.into());
        }
        let meaning = rule::meaning(rest, context);
        self.chain(chain).rules.push(Rule { line: Some(number), text: line.to_owned(), meaning });
        Ok(())
    }

    /// The chain of this name, made if it is not there yet.
    fn chain(&mut self, name: &str) -> &mut Chain {
        let at = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            self.chains.push(Chain { name: name.to_owned(), policy: Verdict::Pass, rules: Vec::new() });
            self.chains.len() - 1
        });
        &mut self.chains[at]
    }

    /// The chains that the kernel calls and that do something.
    fn at_work(&self) -> impl Iterator<Item = &Chain> {
        let called = |chain: &&Chain| self.built_in.contains(&chain.name);
        self.chains.iter().filter(called).filter(|chain| !chain.rules.is_empty() || chain.policy == Verdict::Drop)
    }
}

const UNKNOWN: &str = "this is no line of iptables-save";

/// The chain that is asked for, or the only one that sees packets that arrive.
fn choose<'t>(tables: &'t [Table], asked: Option<&str>) -> Result<(&'t Table, &'t Chain), Error> {
    let all = || tables.iter().flat_map(|table| table.chains.iter().map(move |chain| (table, chain)));
    let path = |(table, chain): &(&Table, &Chain)| format!("{}/{}", table.name, chain.name);
    let found: Vec<_> = match asked {
        Some(asked) => all().filter(|one| one.1.name == asked || path(one) == asked).collect(),
        None => {
            let working = || tables.iter().flat_map(|table| table.at_work().map(move |chain| (table, chain)));
            let incoming = |place: &&(&str, &str)| {
                working().any(|(table, chain)| (table.name.as_str(), chain.name.as_str()) == **place)
            };
            let which = INCOMING.iter().filter(incoming);
            which.filter_map(|place| all().find(|(table, chain)| (&*table.name, &*chain.name) == *place)).collect()
        }
    };
    choice::only(&found, asked, &all().collect::<Vec<_>>(), ("TABLE/CHAIN", path))
}

/// Says which other chains have rules.
fn tell_others(tables: &[Table], (table, base): (&Table, &Chain), draft: &mut Draft) {
    for other in tables {
        for chain in other.at_work().filter(|chain| other.name != table.name || chain.name != base.name) {
            let policy = if chain.policy == Verdict::Drop { " and its policy, DROP" } else { "" };
            let (table, name, rules) = (&other.name, &chain.name, chain.rules.len());
            draft.note(format!("chain {table}/{name} is not imported: its {rules} rules{policy}"));
        }
    }
}
