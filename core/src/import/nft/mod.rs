//! `nft -j list ruleset`: the chain that sees packets that arrive.

mod expr;
mod fields;
mod rule;
mod sets;

use std::collections::HashMap;

use serde_json::Value;

use super::chains::{self, Chain, Rule};
use super::choice;
use super::draft::Draft;
use super::term::Family;
use super::{Format, Imported, Request};
use crate::error::Error;
use crate::policy::Verdict;

/// The hooks that see packets that arrive.
const INCOMING: [&str; 3] = ["ingress", "prerouting", "input"];

/// Where something belongs: a table's family and name.
type Table<'j> = (&'j str, &'j str);

/// A chain that the kernel calls.
#[derive(Clone, Copy, Debug)]
struct Base<'j> {
    table: Table<'j>,
    name: &'j str,
    hook: &'j str,
    kind: &'j str,
    drops: bool,
}

/// What a rule may refer to.
#[derive(Debug)]
struct Context<'a> {
    family: Family,
    interface: Option<&'a str>,
    /// The sets of the table, by their names there.
    sets: Vec<(String, sets::Known)>,
    /// What is in its sets and maps, as it is written there.
    written: HashMap<String, Vec<Value>>,
}

/// Makes a policy of a chain and those that it jumps to.
pub(super) fn import(text: &str, request: &Request<'_>) -> Result<Imported, Error> {
    let document: Value = serde_json::from_str(text).map_err(|error| {
        Error::usage("read the rule set of nft").cause(format!("it is no JSON: {error}")).mend("nft -j list ruleset")
    })?;
    let objects = document.get("nftables").and_then(Value::as_array).ok_or_else(|| {
        Error::usage("read the rule set of nft")
            .cause("it is JSON, but has no list named nftables")
            .mend("nft -j list ruleset | xdpilot import -")
    })?;
    let bases = bases(objects);
    let base = choose(&bases, objects, request.chain)?;
    let mut draft = Draft::default();
    tell_others(&bases, base, objects, &mut draft);
    let family = family(base.table.0);
    let sets = sets::declare(objects, base.table, &mut draft);
    let written = sets::written(objects, base.table);
    let context = Context { family, interface: request.interface, sets, written };
    let chains = chains(objects, base, &context);
    if let Some(chain) = chains.iter().find(|chain| chain.name == base.name) {
        chains::flatten(&chains, chain, family, &mut draft)?;
    }
    draft.finish(Format::Nft)
}

/// The text of a field.
fn text<'j>(object: &'j Value, field: &str) -> &'j str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The objects of a kind: `chain`, `rule`, `set`.
fn of_kind<'j>(objects: &'j [Value], kind: &'static str) -> impl Iterator<Item = &'j Value> {
    objects.iter().filter_map(move |object| object.get(kind))
}

fn table_of(object: &Value) -> Table<'_> {
    (text(object, "family"), text(object, "table"))
}

fn family(word: &str) -> Family {
    match word {
        "ip" => Family::V4,
        "ip6" => Family::V6,
        "inet" => Family::Ip,
        _ => Family::Any,
    }
}

fn bases(objects: &[Value]) -> Vec<Base<'_>> {
    let base = |chain| Base {
        table: table_of(chain),
        name: text(chain, "name"),
        hook: text(chain, "hook"),
        kind: text(chain, "type"),
        drops: text(chain, "policy") == "drop",
    };
    of_kind(objects, "chain").map(base).collect()
}

/// The chain that is asked for, or the only one that sees packets that arrive.
fn choose<'j>(bases: &[Base<'j>], objects: &[Value], asked: Option<&str>) -> Result<Base<'j>, Error> {
    let found: Vec<Base<'_>> = match asked {
        Some(asked) => bases.iter().filter(|base| base.is_called(asked)).copied().collect(),
        None => {
            // Those that translate addresses see the first packet of a connection alone.
            let incoming =
                |base: &&Base<'_>| INCOMING.contains(&base.hook) && base.kind != "nat" && base.works(objects);
            bases.iter().filter(incoming).copied().collect()
        }
    };
    choice::only(&found, asked, bases, ("FAMILY/TABLE/CHAIN", Base::path))
}

impl Base<'_> {
    fn path(&self) -> String {
        format!("{}/{}/{}", self.table.0, self.table.1, self.name)
    }

    /// Whether this is `CHAIN`, `TABLE/CHAIN` or `FAMILY/TABLE/CHAIN`.
    fn is_called(&self, asked: &str) -> bool {
        let path = self.path();
        path == asked || path.strip_suffix(asked).is_some_and(|before| before.ends_with('/'))
    }

    fn rules<'o>(&self, objects: &'o [Value]) -> impl Iterator<Item = &'o Value> {
        let (table, name) = ((self.table.0.to_owned(), self.table.1.to_owned()), self.name.to_owned());
        of_kind(objects, "rule")
            .filter(move |rule| table_of(rule) == (&*table.0, &*table.1) && text(rule, "chain") == name)
    }

    /// Whether it decides anything.
    fn works(&self, objects: &[Value]) -> bool {
        self.drops || self.rules(objects).next().is_some()
    }
}

/// Says which other chains that the kernel calls have rules.
fn tell_others(bases: &[Base<'_>], chosen: Base<'_>, objects: &[Value], draft: &mut Draft) {
    let others = bases.iter().filter(|base| !base.hook.is_empty() && base.path() != chosen.path());
    for base in others.filter(|base| base.works(objects)) {
        let policy = if base.drops { " and its policy, drop" } else { "" };
        let rules = base.rules(objects).count();
        draft.note(format!("chain {} is not imported: its {rules} rules{policy}", base.path()));
    }
}

/// The chains of the table.
fn chains(objects: &[Value], base: Base<'_>, context: &Context<'_>) -> Vec<Chain> {
    let chain = |object: &Value| {
        let name = text(object, "name").to_owned();
        let policy = if text(object, "policy") == "drop" { Verdict::Drop } else { Verdict::Pass };
        let rules = of_kind(objects, "rule")
            .filter(|rule| table_of(rule) == base.table && text(rule, "chain") == name)
            .map(|object| rule_of(object, context))
            .collect();
        Chain { name, policy, rules }
    };
    of_kind(objects, "chain").filter(|chain| table_of(chain) == base.table).map(chain).collect()
}

fn rule_of(object: &Value, context: &Context<'_>) -> Rule {
    let handle = object.get("handle").and_then(Value::as_u64).unwrap_or_default();
    let expr = object.get("expr").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let words: Vec<String> = expr.iter().map(Value::to_string).collect();
    let text = format!(
        "{}/{}/{} handle {handle}: {}",
        text(object, "family"),
        text(object, "table"),
        text(object, "chain"),
        words.join(" ")
    );
    let comment = object.get("comment").and_then(Value::as_str).map(str::to_owned);
    Rule { line: None, text, meaning: rule::meaning(expr, comment, context) }
}
