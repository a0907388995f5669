//! A policy with the sets and pools that it names.

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Document as Written, Element, Members, Request, Set};

use super::{Kind, Meaning, Name, Snapshot};
use crate::direction::Direction;
use crate::policy::Policy;

/// How the elements of sets in pieces are found: the set's name, and the ids of its pieces.
pub(super) type Elements<'a> = &'a mut dyn FnMut(&Name, &[String]) -> Result<Vec<Element>>;

/// The policy of this name, resolved among the documents of a snapshot.
///
/// # Errors
/// It is not there or faulty, or a set or pool that it names is.
pub fn compose(snapshot: &Snapshot, name: &str, direction: Direction, elements: Elements<'_>) -> Result<Policy> {
    let title = Name::new(Kind::Policy, name);
    let Some(meaning) = snapshot.meaning(Kind::Policy, name) else {
        return Err(Error::usage(title.to_string()).cause("the store has no such policy"));
    };
    let meaning = meaning.as_ref().map_err(Clone::clone)?;
    let Meaning::Policy(written, text) = &**meaning else { return Err(Error::failed(title.to_string())) };
    let document = Written {
        // Which of the sets are used is known when the rules are read.
        sets: snapshot.of_kind(Kind::Set).map(|(name, _)| reference(&name.name)).collect(),
        pools: snapshot.of_kind(Kind::Pool).filter_map(|(_, stored)| pool(stored.meaning.as_deref().ok()?)).collect(),
        policies: written.policies.clone(),
        tests: Vec::new(),
    };
    let mut failure = None;
    let mut read = |set: &str| read_set(snapshot, set, elements).inspect_err(|error| failure = Some(error.clone()));
    let request = Request { policy: Some(name), file: name, inbound: direction == Direction::Ingress, resolve: None };
    let rules = policy::resolve(&document, &request, &mut read);
    if let Some(failure) = failure {
        return Err(failure.context(title));
    }
    let rules = rules.map_err(|problems| {
        let shown: Vec<String> = problems.iter().map(|problem| problem.show(&title.to_string(), text)).collect();
        match faulty_pool(snapshot) {
            Some(error) => Error::usage(shown.join("\n")).cause(error.to_string()),
            None => Error::usage(shown.join("\n")),
        }
    })?;
    let origin = format!("{title} of the store");
    Ok(Policy { rules: rules.into(), places: Vec::new(), direction, origin, files: Vec::new() })
}

/// A set whose elements are asked for by its name.
fn reference(name: &str) -> Set {
    Set { name: name.to_string(), members: Members::File(name.to_string()), span: 0..0 }
}

fn pool(meaning: &Meaning) -> Option<policy::Pool> {
    match meaning {
        Meaning::Pool(pool) => Some((**pool).clone()),
        _ => None,
    }
}

fn read_set(snapshot: &Snapshot, name: &str, elements: Elements<'_>) -> Result<Vec<Element>> {
    match snapshot.meaning(Kind::Set, name).map(Result::as_ref) {
        Some(Ok(meaning)) => match &**meaning {
            Meaning::Set(elements) => Ok(elements.clone()),
            Meaning::SetPieces(ids) => elements(&Name::new(Kind::Set, name), ids),
            _ => Ok(Vec::new()),
        },
        Some(Err(error)) => Err(error.clone()),
        None => Ok(Vec::new()),
    }
}

/// A pool that is not among the others since something is wrong with it.
fn faulty_pool(snapshot: &Snapshot) -> Option<&Error> {
    snapshot.of_kind(Kind::Pool).find_map(|(_, stored)| stored.meaning.as_ref().err())
}
