//! Whether what is to be stored makes sense.

use std::collections::BTreeMap;
use std::sync::Arc;

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Element};

use super::snapshot::mark;
use super::{Body, Document, Kind, Meaning, NEWEST_SCHEMA, Name, Snapshot, Stored, compose};
use crate::check::tests::first_failure;
use crate::direction::Direction;
use crate::policy::Text;
use crate::store::{Change, Store};

/// Checks that documents with these bodies (none: deleted) are sound, and the policies that name them stay so; returns
/// all documents as they will be.
///
/// # Errors
/// The first one that is not.
pub(super) fn check(
    store: &dyn Store,
    before: &Snapshot,
    bodies: &BTreeMap<Name, Option<Body>>,
    pieces: &[Change],
) -> Result<Snapshot> {
    let mut after = before.clone();
    for (name, body) in bodies {
        match body {
            None => drop(after.documents.remove(name)),
            Some(body) => {
                let meaning = Arc::new(meaning(store, name, body, pieces)?);
                let document =
                    Document { schema: NEWEST_SCHEMA, version: 0, changed: 0, by: String::new(), body: body.clone() };
                let stored = Stored { revision: 0, mark: mark(body), document: Some(document), meaning: Ok(meaning) };
                after.documents.insert(name.clone(), Arc::new(stored));
            }
        }
    }
    for (name, stored) in after.of_kind(Kind::Policy) {
        let Ok(meaning) = &stored.meaning else { continue };
        if bodies.contains_key(name) {
            sound(&after, &name.name)?;
            as_tested(store, &after, name, pieces)?;
        } else if bodies.keys().any(|changed| names(meaning, changed) && !stays_set(before, &after, changed))
            && sound(before, &name.name).is_ok()
        {
            sound(&after, &name.name)
                .map_err(|error| error.context("the change").mend("change both in one `xdpilot apply`"))?;
        }
    }
    for (name, _) in bodies.iter().filter(|(name, body)| name.kind == Kind::Attachment && body.is_some()) {
        if !after.documents.contains_key(&Name::new(Kind::Policy, name.name.clone())) {
            return Err(Error::usage(name.to_string()).cause("the store has no such policy"));
        }
    }
    Ok(after)
}

/// Whether a policy does what its tests say.
fn as_tested(store: &dyn Store, after: &Snapshot, name: &Name, pieces: &[Change]) -> Result<()> {
    let Some(Ok(meaning)) = after.meaning(Kind::Policy, &name.name) else { return Ok(()) };
    let Meaning::Policy(written, text) = &**meaning else { return Ok(()) };
    if written.tests.is_empty() {
        return Ok(());
    }
    let mut elements = |set: &Name, ids: &[String]| -> Result<Vec<Element>> {
        let mut all = Vec::new();
        for id in ids {
            let piece = piece(store, set, id, pieces)?;
            all.extend(policy::elements(&piece).map_err(|_| Error::failed(format!("{set} in the store")))?);
        }
        Ok(all)
    };
    let policy = compose(after, &name.name, Direction::Ingress, &mut elements)?;
    let text = Text { text: text.clone(), path: None, name: name.to_string() };
    match first_failure(&written.tests, &policy, &text)? {
        None => Ok(()),
        Some(failure) => Err(Error::usage(format!("{name}: {failure}")).mend("mend the policy, or its test")),
    }
}

/// The text of a piece that may not be stored yet.
fn piece(store: &dyn Store, name: &Name, id: &str, pieces: &[Change]) -> Result<String> {
    let key = name.piece(id);
    let new = pieces.iter().find_map(|piece| match piece {
        Change::Put { key: put, value } if *put == key => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    });
    new.map_or_else(|| super::pieces::one(store, name, id), Ok)
}

/// What a body means whose pieces may not be stored yet.
fn meaning(store: &dyn Store, name: &Name, body: &Body, pieces: &[Change]) -> Result<Meaning> {
    match body {
        Body::Text { text } => Meaning::of_text(name, text),
        Body::Pieces { elements: Some(_), pieces } => Ok(Meaning::SetPieces(pieces.clone())),
        Body::Pieces { elements: None, pieces: ids } => {
            let text: String = ids.iter().map(|id| piece(store, name, id, pieces)).collect::<Result<_>>()?;
            Meaning::of_text(name, &text)
        }
    }
}

/// Whether it is a set before and after: which elements it has does not matter for the policies that name it.
fn stays_set(before: &Snapshot, after: &Snapshot, name: &Name) -> bool {
    let is_sound = |snapshot: &Snapshot| snapshot.documents.get(name).is_some_and(|stored| stored.meaning.is_ok());
    name.kind == Kind::Set && is_sound(before) && is_sound(after)
}

/// Whether a policy may name a set or pool.
fn names(policy: &Meaning, changed: &Name) -> bool {
    let Meaning::Policy(_, text) = policy else { return false };
    matches!(changed.kind, Kind::Set | Kind::Pool) && text.contains(&changed.name)
}

/// Whether a policy is sound; the elements of long sets do not matter for it.
fn sound(snapshot: &Snapshot, name: &str) -> Result<()> {
    let directions = match snapshot.meaning(Kind::Attachment, name).map(Result::as_deref) {
        Some(Ok(Meaning::Attachment(places))) => places.iter().map(|place| place.egress).collect(),
        _ => vec![false],
    };
    for (egress, direction) in [(false, Direction::Ingress), (true, Direction::Egress)] {
        if directions.contains(&egress) {
            compose(snapshot, name, direction, &mut |_, _| Ok(Vec::new()))?;
        }
    }
    Ok(())
}
