//! Chains of rules that jump into each other, as one list.
//!
//! A rule that jumps becomes the rules of the chain that it jumps to, each under the jump's condition too. A rule that returns
//! becomes a `not` in those behind it.

use std::collections::HashSet;

use super::draft::Draft;
use super::term::{Family, Term, conjunction};
use crate::error::Error;
use crate::policy::Verdict;

/// So deep may chains jump into each other; the kernel has a limit of its own.
const DEEPEST: usize = 64;
/// So many rules may come of it, with the jumps.
const MOST_STEPS: usize = 200_000;

/// A chain.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Its name.
    pub(super) name: String,
    /// What happens at its end, if it is one that the kernel calls.
    pub(super) policy: Verdict,
    /// Its rules.
    pub(super) rules: Vec<Rule>,
}

/// A rule as it was written.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// Its line, if it has one.
    pub(super) line: Option<u32>,
    /// Its words.
    pub(super) text: String,
    /// What it does; a reason where a policy cannot say it.
    pub(super) meaning: Result<Meaning, String>,
}

/// What a rule does.
#[derive(Clone, Debug, Default)]
pub(super) struct Meaning {
    /// One after the other.
    pub(super) steps: Vec<Step>,
    /// What somebody wrote beside it.
    pub(super) comment: Option<String>,
    /// What the user should know of it.
    pub(super) notes: Vec<String>,
}

/// Something that is done with some packets.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// All of these hold.
    pub(super) when: Vec<Term>,
    /// What is done.
    pub(super) act: Act,
}

impl Step {
    /// What is done where all of `when` holds and all of one of several: a rule for each of them, if that means the same.
    pub(super) fn of_any(when: Vec<Term>, any: &[Vec<Term>], act: Act) -> Vec<Step> {
        match (any, &act) {
            ([], _) => Vec::new(),
            (_, Act::Verdict(_)) => {
                let step = |one: &Vec<Term>| Step { when: [when.as_slice(), one].concat(), act: act.clone() };
                any.iter().map(step).collect()
            }
            _ => vec![Step { when: [when, vec![Term::one_of(any)]].concat(), act }],
        }
    }
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The end.
    Verdict(Verdict),
    /// An action of a policy behind which the next rule is tried.
    Do(String),
    /// Back to the chain before.
    Return,
    /// Into this chain, and then on.
    Jump(String),
    /// Into this chain, and then back to the chain before.
    Goto(String),
}

/// Puts a chain that the kernel calls into a policy.
///
/// # Errors
/// Chains jump in circles, or so often that the policy has too many rules.
pub(super) fn flatten(chains: &[Chain], base: &Chain, family: Family, draft: &mut Draft) -> Result<(), Error> {
    let mut flat = Flat { chains, base, family, draft, steps: 0, limits: HashSet::new() };
    flat.chain(base, &[], 0)?;
    if base.policy == Verdict::Drop {
        // Frames that the chain never sees go on.
        match conjunction(&[], family).as_str() {
            "" => draft.otherwise("drop"),
            all => draft.rule("drop", all, None),
        }
    }
    Ok(())
}

struct Flat<'a> {
    chains: &'a [Chain],
    base: &'a Chain,
    family: Family,
    draft: &'a mut Draft,
    /// How many steps were taken.
    steps: usize,
    /// The rules with limits that were reached.
    limits: HashSet<String>,
}

impl Flat<'_> {
    /// A chain's rules, for packets for which all of `outer` holds.
    fn chain(&mut self, chain: &Chain, outer: &[Term], depth: usize) -> Result<(), Error> {
        if depth > DEEPEST {
            return Err(Error::usage(format!("import chain {}", self.base.name))
                .cause(format!("its chains jump more than {DEEPEST} deep, or in circles")));
        }
        let mut terms = outer.to_vec();
        for rule in &chain.rules {
            let meaning = match &rule.meaning {
                Ok(meaning) => meaning,
                Err(reason) => {
                    self.draft.leave_out(rule.line, &rule.text, reason);
                    continue;
                }
            };
            meaning.notes.iter().for_each(|note| self.draft.note(note));
            for step in &meaning.steps {
                self.step(step, rule, meaning.comment.as_deref(), &mut terms, depth)?;
            }
        }
        Ok(())
    }

    fn step(
        &mut self,
        step: &Step,
        rule: &Rule,
        comment: Option<&str>,
        terms: &mut Vec<Term>,
        depth: usize,
    ) -> Result<(), Error> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err(Error::usage(format!("import chain {}", self.base.name))
                .cause(format!("with the chains that it jumps to it has more than {MOST_STEPS} rules")));
        }
        let when = [terms.as_slice(), &step.when].concat();
        match &step.act {
            Act::Verdict(verdict) => self.rule(&verdict.to_string(), &when, comment),
            Act::Do(action) => {
                if action.starts_with("limit ") && !self.limits.insert(rule.text.clone()) {
                    self.draft
                        .note(format!("several jumps lead to a limit, which becomes one for each: {}", rule.text));
                }
                self.rule(action, &when, comment);
            }
            Act::Jump(name) | Act::Goto(name) => match self.chains.iter().find(|chain| chain.name == *name) {
                Some(chain) => self.chain(chain, &when, depth + 1)?,
                None => self.draft.leave_out(rule.line, &rule.text, format!("there is no chain {name}")),
            },
            Act::Return => {}
        }
        if matches!(step.act, Act::Return | Act::Goto(_)) {
            if depth == 0 {
                self.rule(&self.base.policy.to_string(), &when, comment);
            } else {
                terms.push(Term::not(&step.when));
            }
        }
        Ok(())
    }

    fn rule(&mut self, action: &str, when: &[Term], comment: Option<&str>) {
        // Behind an unconditional return nothing is reached.
        if when.iter().all(|term| term.text != NEVER) {
            self.draft.rule(action, &conjunction(when, self.family), comment);
        }
    }
}

/// What [`Term::not`] makes of no terms at all.
const NEVER: &str = "not ()";
