//! What one rule of nft means.

use serde_json::Value;

use super::expr;
use super::sets::word;
use super::{Context, text};
use crate::import::chains::{Act, Meaning, Step};
use crate::import::draft;
use crate::import::term::{Family, Term};
use crate::policy::Verdict;

type Reason = String;

/// What the statements of a rule mean.
pub(super) fn meaning(statements: &[Value], comment: Option<String>, context: &Context<'_>) -> Result<Meaning, Reason> {
    let mut rule = Parser {
        context,
        when: Vec::new(),
        any: None,
        never: false,
        limit: None,
        out: Meaning { comment, ..Meaning::default() },
    };
    for statement in statements {
        let (kind, value) = statement
            .as_object()
            .and_then(|object| object.iter().next())
            .ok_or_else(|| format!("{statement} is no statement"))?;
        rule.statement(kind, value)?;
    }
    rule.finish()
}

struct Parser<'a> {
    context: &'a Context<'a>,
    /// What holds so far.
    when: Vec<Term>,
    /// All of one of these hold, too.
    any: Option<Vec<Vec<Term>>>,
    /// It is about other packets than those that the policy sees.
    never: bool,
    /// A limit whose excess the next statement drops.
    limit: Option<String>,
    out: Meaning,
}

impl Parser<'_> {
    fn statement(&mut self, kind: &str, value: &Value) -> Result<(), Reason> {
        if self.limit.is_some() && kind != "drop" && kind != "counter" {
            return Err("a policy's limit drops what exceeds it, and does nothing else".into());
        }
        match kind {
            "match" => self.matches(value),
            "counter" => self.counter(value),
            "accept" => self.act(Act::Verdict(Verdict::Pass)),
            "drop" => match self.limit.take() {
                Some(limit) => self.act(Act::Do(limit)),
                None => self.act(Act::Verdict(Verdict::Drop)),
            },
            "reject" => {
                self.out.notes.push("reject answers the sender; the policy drops without an answer".into());
                self.act(Act::Verdict(Verdict::Drop))
            }
            "return" => self.act(Act::Return),
            // The end of a chain is near in any case.
            "continue" => Ok(()),
            "jump" => self.act(Act::Jump(text(value, "target").to_owned())),
            "goto" => self.act(Act::Goto(text(value, "target").to_owned())),
            "log" => {
                self.out.notes.push("log becomes a counter".into());
                self.act(Act::Do(format!("count {}", draft::word(text(value, "prefix"), "log"))))
            }
            "limit" => self.limit(value),
            "set" => {
                let statements = value.get("stmt").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                self.keyed(value.get("elem"), statements.first().filter(|_| statements.len() == 1))
            }
            "meter" => self.keyed(value.get("key"), value.get("stmt")),
            "vmap" => self.map(value),
            "comment" => Ok(()),
            "xt" => Err("a match or target of iptables: import what iptables-save prints".into()),
            _ => Err(format!("{kind} has no counterpart")),
        }
    }

    fn act(&mut self, act: Act) -> Result<(), Reason> {
        match &self.any {
            Some(any) => self.out.steps.extend(Step::of_any(self.when.clone(), any, act)),
            None => self.out.steps.push(Step { when: self.when.clone(), act }),
        }
        Ok(())
    }

    fn matches(&mut self, value: &Value) -> Result<(), Reason> {
        match expr::matches(value, self.context)? {
            expr::Test::Terms(terms) => self.when.extend(terms),
            expr::Test::Any(any) if self.any.is_none() => self.any = Some(any),
            expr::Test::Any(any) => self.when.push(Term::one_of(&any)),
            expr::Test::Never(note) => {
                self.never = true;
                self.out.notes.extend(note);
            }
        }
        Ok(())
    }

    /// Rules are counted in any case; a counter with a name may be shared.
    fn counter(&mut self, value: &Value) -> Result<(), Reason> {
        match value.as_str() {
            Some(name) => self.act(Act::Do(format!("count {}", draft::word(name, "counter")))),
            None => Ok(()),
        }
    }

    fn limit(&mut self, value: &Value) -> Result<(), Reason> {
        self.limit = Some(limit(value, "")?);
        Ok(())
    }

    /// A limit for each value of a key, which nft keeps in a set: `add @SET { ip saddr limit rate over 10/second }`.
    fn keyed(&mut self, key: Option<&Value>, statement: Option<&Value>) -> Result<(), Reason> {
        let limit = statement.and_then(|statement| statement.get("limit"));
        let limit = limit.ok_or("what packets put into sets has no counterpart")?;
        let key = key.ok_or("the limit has no key")?;
        let key = key.get("elem").and_then(|elem| elem.get("val")).unwrap_or(key);
        let field = key.get("payload").unwrap_or(key);
        let (family, per) = match (text(field, "protocol"), text(field, "field")) {
            ("ip", "saddr") => (Family::V4, "src"),
            ("ip", "daddr") => (Family::V4, "dst"),
            ("ip6", "saddr") => (Family::V6, "src"),
            ("ip6", "daddr") => (Family::V6, "dst"),
            _ => return Err(format!("limits per {key} have no counterpart")),
        };
        self.limit = Some(self::limit(limit, &format!(" per {per}"))?);
        self.when.push(Term::new(family, family.word()));
        Ok(())
    }

    /// A verdict for each of several values.
    fn map(&mut self, value: &Value) -> Result<(), Reason> {
        let data = value.get("data").ok_or("the map has no values")?;
        let pairs = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => self.context.written.get(name),
            None => None,
        };
        let pairs = pairs.or_else(|| data.get("set").and_then(Value::as_array));
        let pairs = pairs.ok_or_else(|| format!("there is no map {data}"))?;
        let left = value.get("key").ok_or("the map has no key")?;
        let outer = (self.when.clone(), self.any.clone());
        for pair in pairs {
            let Some([right, verdict]) = pair.as_array().map(Vec::as_slice) else {
                return Err(format!("{pair} is no value with a verdict"));
            };
            let test = serde_json::json!({ "op": "==", "left": left, "right": right });
            let (kind, value) = verdict
                .as_object()
                .and_then(|object| object.iter().next())
                .ok_or_else(|| format!("{} is no verdict", word(verdict).unwrap_or_default()))?;
            let never = self.never;
            self.matches(&test)?;
            if std::mem::replace(&mut self.never, never) == never {
                self.statement(kind, value)?;
            }
            (self.when, self.any) = outer.clone();
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Meaning, Reason> {
        if self.limit.is_some() {
            return Err("a policy's limit drops what exceeds it, and does nothing else".into());
        }
        if self.never {
            self.out.steps.clear();
        } else if self.out.steps.is_empty() {
            // A rule without a verdict counts, as every rule of a policy does.
            self.act(Act::Do("count counted".into()))?;
        }
        Ok(self.out)
    }
}

/// The action of a policy for a limit whose excess is dropped.
fn limit(value: &Value, per: &str) -> Result<String, Reason> {
    let over = value.get("inv").and_then(Value::as_bool).unwrap_or(false);
    let number = |field: &str| value.get(field).and_then(Value::as_u64);
    if !over {
        return Err("a policy's limit drops what exceeds it, where this one lets the next rules decide".into());
    }
    let unit = value.get("rate_unit").and_then(Value::as_str).unwrap_or("packets");
    match (number("rate"), text(value, "per"), unit) {
        (Some(rate @ 1..), "second", "packets") => {
            let burst = number("burst").filter(|burst| *burst > 0).unwrap_or(5);
            Ok(format!("limit {rate}/s{per} burst {burst}"))
        }
        _ => Err("a policy's limits are whole numbers of packets in a second".into()),
    }
}
