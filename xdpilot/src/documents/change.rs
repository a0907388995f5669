//! Changes of documents, each commit of which is checked before it is stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::Element;

use super::history::{self, KEPT};
use super::name::PIECES;
use super::pieces::{self, Cut};
use super::rollout::{ROLLOUT, Rollout};
use super::{Body, Document, Kind, Meaning, NEWEST_SCHEMA, Name, Snapshot, identify, validate};
use crate::random;
use crate::store::{Change, Committed, Expected, Store};

/// A change of one document.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Which.
    pub name: Name,
    /// What it says from then on; none where it is to be deleted.
    pub content: Option<Content>,
    /// The version that it must have now, 0 where it must not be there; none where that does not matter.
    pub version: Option<u64>,
}

/// What a document is to say.
#[derive(Clone, Debug)]
pub enum Content {
    /// These words.
    Text(String),
    /// These elements of a set.
    Elements(Vec<Element>),
    /// A set without some elements and with others.
    Change {
        /// They come.
        add: Vec<Element>,
        /// They go, before the others come.
        remove: Vec<Element>,
    },
    /// What a rollout said, with pieces that are stored already.
    Staged(Body),
}

/// Sets of longer texts are stored in pieces.
const LONG: usize = 16_384;

impl Content {
    /// What a document says whose whole text is this.
    ///
    /// # Errors
    /// The text is faulty.
    pub fn of_text(name: &Name, text: String) -> Result<Self> {
        if name.kind == Kind::Set
            && text.len() > LONG
            && let Meaning::Set(elements) = Meaning::of_text(name, &text)?
        {
            return Ok(Content::Elements(elements));
        }
        Ok(Content::Text(text))
    }
}

/// What a commit did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The store's revision then; none where nothing had to change.
    pub revision: Option<u64>,
    /// The documents that are new, by their names, with their versions.
    pub written: Vec<(Name, u64)>,
    /// Those that are gone.
    pub deleted: Vec<Name>,
    /// Those that said it already.
    pub unchanged: Vec<Name>,
}

/// A commit is tried so often where others change the same documents meanwhile.
const TRIES: u32 = 16;

/// `ESTALE`: the mark of errors about a version.
const STALE: i32 = 116;

/// Whether a commit failed since a document has another version than was expected.
pub fn is_conflict(error: &Error) -> bool {
    error.errno_value() == Some(STALE)
}

/// An error that is a conflict, as an agent told it.
pub fn conflict(error: Error) -> Error {
    error.errno(STALE)
}

/// Makes all edits in one commit, or none.
///
/// # Errors
/// A document would be faulty, or a policy that is sound would not be so any more; a document has another version than
/// was expected; the store cannot be changed.
pub fn commit(store: &dyn Store, edits: &[Edit], by: &str) -> Result<Outcome> {
    for _ in 0..TRIES {
        let plan = Plan::make(store, edits, by)?;
        if plan.bodies.is_empty() {
            return Ok(plan.outcome);
        }
        if let Some(rollout) = &plan.before.rollout {
            rollout.refuse(plan.bodies.keys())?;
        }
        let Plan { mut outcome, batch, .. } = plan;
        outcome.revision = batch.store(store)?;
        if outcome.revision.is_some() {
            return Ok(outcome);
        }
    }
    Err(busy())
}

/// The documents as they would be after edits; nothing is stored.
///
/// # Errors
/// As of [`commit`].
pub fn preview(store: &dyn Store, edits: &[Edit]) -> Result<Snapshot> {
    Plan::make(store, edits, "").map(|plan| plan.after)
}

/// Makes edits a rollout, for the nodes that `choose` names by the documents as they would be; returns the rollout.
/// Nothing else is stored yet.
///
/// # Errors
/// As of [`commit`]; nothing would change; another rollout is at work.
pub fn stage(
    store: &dyn Store,
    edits: &[Edit],
    bake: Duration,
    by: &str,
    choose: impl Fn(&Snapshot, &BTreeSet<Name>) -> Result<Vec<String>>,
) -> Result<Rollout> {
    for _ in 0..TRIES {
        let mut plan = Plan::make(store, edits, by)?;
        if plan.bodies.is_empty() {
            return Err(Error::usage("begin a rollout").cause("the store says all of it already"));
        }
        if let Some(rollout) = &plan.before.rollout {
            rollout.refuse_another()?;
        }
        let nodes = choose(&plan.after, &plan.bodies.keys().cloned().collect())?;
        let rollout = Rollout::new(nodes, bake, by, std::mem::take(&mut plan.bodies), &plan.before);
        let revision = plan.before.rollout.as_ref().map_or(0, |rollout| rollout.revision);
        plan.batch.expected.push(Expected { key: ROLLOUT.to_string(), revision });
        plan.batch.changes = vec![Change::Put { key: ROLLOUT.to_string(), value: rollout.encode() }];
        plan.batch.left.clear();
        if plan.batch.store(store)?.is_some() {
            return Ok(rollout);
        }
    }
    Err(busy())
}

/// Makes what a rollout says the documents of all nodes.
///
/// # Errors
/// As of [`commit`]; a document has changed since the rollout began.
pub fn promote(store: &dyn Store, rollout: &Rollout) -> Result<Outcome> {
    for _ in 0..TRIES {
        let plan = Plan::make(store, &rollout.edits(), &rollout.by)?;
        if plan.before.rollout.as_ref().is_none_or(|now| now.id != rollout.id) {
            return Err(Error::failed(format!("end rollout {}", rollout.id)).cause("it is at work no more"));
        }
        let revision = plan.before.rollout.as_ref().map_or(0, |now| now.revision);
        let Plan { mut outcome, mut batch, .. } = plan;
        batch.expected.push(Expected { key: ROLLOUT.to_string(), revision });
        batch.changes.push(Change::Delete { key: ROLLOUT.to_string() });
        outcome.revision = batch.store(store)?;
        if outcome.revision.is_some() {
            return Ok(outcome);
        }
    }
    Err(busy())
}

fn busy() -> Error {
    Error::failed("change the store").cause("others change it all the time").mend("try again")
}

/// Where the revision of the last commit of documents is: that of this key's entry. Each commit expects that none came
/// between, since it was checked together with all other documents.
pub const LAST: &str = "commits";

/// Where a policy goes, its attachment goes with it.
fn with_attachments(before: &Snapshot, edits: &[Edit]) -> Vec<Edit> {
    let mut all = edits.to_vec();
    for edit in edits.iter().filter(|edit| edit.name.kind == Kind::Policy && edit.content.is_none()) {
        let name = Name::new(Kind::Attachment, edit.name.name.clone());
        if before.documents.contains_key(&name) && !edits.iter().any(|other| other.name == name) {
            all.push(Edit { name, content: None, version: None });
        }
    }
    all
}

/// What is to be written.
#[derive(Default)]
struct Batch {
    expected: Vec<Expected>,
    changes: Vec<Change>,
    /// Before the others: nothing leads to them yet.
    pieces: Vec<Change>,
    /// After the others: nothing leads to them any more.
    left: Vec<Change>,
}

/// Edits, and what follows from them.
struct Plan<'a> {
    store: &'a dyn Store,
    before: Snapshot,
    after: Snapshot,
    by: &'a str,
    outcome: Outcome,
    batch: Batch,
    /// The new bodies (none: deleted) of the documents that change.
    bodies: BTreeMap<Name, Option<Body>>,
}

impl<'a> Plan<'a> {
    /// Plans edits, and makes sure that they are sound.
    fn make(store: &'a dyn Store, edits: &[Edit], by: &'a str) -> Result<Self> {
        let last = store.get(LAST)?.map_or(0, |entry| entry.revision);
        let before = Snapshot::read(store)?;
        let (outcome, batch, bodies) = (Outcome::default(), Batch::default(), BTreeMap::new());
        let mut plan = Plan { store, after: Snapshot::default(), before, by, outcome, batch, bodies };
        for edit in with_attachments(&plan.before, edits) {
            if let Some(body) = plan.edit(&edit)? {
                plan.bodies.insert(edit.name, body);
            }
        }
        plan.after = validate::check(store, &plan.before, &plan.bodies, &plan.batch.pieces)?;
        plan.batch.expected.push(Expected { key: LAST.to_string(), revision: last });
        plan.batch.changes.push(Change::Put { key: LAST.to_string(), value: by.as_bytes().to_vec() });
        Ok(plan)
    }

    /// Plans an edit; the document's new body (none: deleted), or none where nothing changes.
    fn edit(&mut self, edit: &Edit) -> Result<Option<Option<Body>>> {
        let name = &edit.name;
        let stored = self.before.documents.get(name);
        let now = stored.and_then(|stored| stored.document.clone());
        let now = now.as_ref();
        let was_there = stored.is_some();
        let version = now.map_or(0, |document| document.version);
        if let Some(expected) = edit.version.filter(|expected| *expected != version) {
            return Err(Error::failed(format!("change {name}"))
                .cause(match version {
                    0 => "it is gone meanwhile".to_string(),
                    _ => format!("it has version {version} now, not {expected}: somebody changed it meanwhile"),
                })
                .mend(format!("xdpilot get {name}"))
                .errno(STALE));
        }
        let Some(content) = &edit.content else { return self.delete(name) };
        let cut = match content {
            Content::Text(text) => pieces::text(name, text.clone()),
            Content::Elements(elements) => pieces::set(name, elements, now),
            Content::Change { add, remove } => self.changed_set(name, now, add, remove)?,
            Content::Staged(body) => Cut { body: body.clone(), pieces: Vec::new() },
        };
        if now.is_some_and(|document| self.says_already(name, document, &cut)) {
            self.outcome.unchanged.push(name.clone());
            return Ok(None);
        }
        self.keep_old(name)?;
        let last = match was_there {
            true => version,
            false => history::versions(self.store, name)?.last().map_or(0, |document| document.version),
        };
        let changed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let document = Document {
            schema: NEWEST_SCHEMA,
            version: last + 1,
            changed,
            by: self.by.to_string(),
            body: cut.body.clone(),
        };
        self.batch.changes.push(Change::Put { key: name.key(), value: document.encode() });
        self.batch.pieces.extend(cut.pieces);
        self.outcome.written.push((name.clone(), last + 1));
        Ok(Some(Some(cut.body)))
    }

    fn delete(&mut self, name: &Name) -> Result<Option<Option<Body>>> {
        if !self.before.documents.contains_key(name) {
            let names: Vec<String> = self.before.of_kind(name.kind).map(|(name, _)| name.name.clone()).collect();
            return Err(Error::usage(format!("delete {name}")).cause(xdpilot_core::near::suggestion(
                &name.name,
                "documents of this kind",
                &names,
            )));
        }
        self.keep_old(name)?;
        self.batch.changes.push(Change::Delete { key: name.key() });
        self.outcome.deleted.push(name.clone());
        Ok(Some(None))
    }

    /// The version that is in force now becomes history; the oldest one is forgotten, with the pieces that no other has.
    fn keep_old(&mut self, name: &Name) -> Result<()> {
        let stored = self.before.documents.get(name);
        let revision = stored.map_or(0, |stored| stored.revision);
        self.batch.expected.push(Expected { key: name.key(), revision });
        let Some(now) = stored.and_then(|stored| stored.document.clone()) else { return Ok(()) };
        let key = history::key(name, now.version);
        self.batch.changes.push(Change::Put { key, value: now.encode() });
        let Some(oldest) = now.version.checked_sub(KEPT) else { return Ok(()) };
        let key = history::key(name, oldest);
        if let Some(entry) = self.store.get(&key)? {
            self.batch.changes.push(Change::Delete { key });
            let kept = history::versions(self.store, name)?;
            let kept: Vec<&Document> = kept.iter().filter(|document| document.version > oldest).collect();
            let gone = Document::decode(name, &entry.value).ok().map(|document| ids(&document)).unwrap_or_default();
            let gone = gone.into_iter().filter(|id| !kept.iter().any(|document| ids(document).contains(id)));
            self.batch.left.extend(gone.map(|id| Change::Delete { key: name.piece(&id) }));
        }
        Ok(())
    }

    /// A set after some elements came and went. Of one in pieces only those are read that change.
    fn changed_set(&self, name: &Name, now: Option<&Document>, add: &[Element], remove: &[Element]) -> Result<Cut> {
        if name.kind != Kind::Set {
            return Err(Error::usage(format!("{name} has no elements")));
        }
        let (ids, count) = match now.map(|document| &document.body) {
            Some(Body::Pieces { elements: Some(count), pieces }) => (pieces, *count),
            Some(Body::Text { text }) => {
                let meaning = Meaning::of_text(name, text)?;
                let Meaning::Set(mut elements) = meaning else { return Err(Error::failed(name.to_string())) };
                let before = elements.len();
                elements.retain(|element| !remove.contains(element));
                let new: Vec<Element> = add.iter().filter(|element| !elements.contains(element)).cloned().collect();
                if new.is_empty() && elements.len() == before {
                    return Ok(Cut { body: Body::Text { text: text.clone() }, pieces: Vec::new() });
                }
                elements.extend(new);
                return Ok(pieces::set(name, &elements, now));
            }
            _ => {
                return Err(Error::usage(format!("change {name}"))
                    .cause("the store has no such set")
                    .mend(format!("xdpilot set replace {} FILE makes it", name.name)));
            }
        };
        pieces::change(self.store, name, (ids, count), add, remove)
    }

    /// Whether a document says what it is to say. Ids of pieces differ by a number that says nothing.
    fn says_already(&self, name: &Name, document: &Document, cut: &Cut) -> bool {
        match (&document.body, &cut.body) {
            (Body::Pieces { pieces, .. }, Body::Pieces { .. }) if cut.pieces.is_empty() => {
                matches!(&cut.body, Body::Pieces { pieces: now, .. } if now == pieces)
            }
            (Body::Pieces { elements: None, .. }, Body::Pieces { elements: None, .. }) => {
                let now: Option<String> = pieces::whole(self.store, name, document).ok();
                let wanted: Vec<u8> = cut
                    .pieces
                    .iter()
                    .flat_map(|piece| match piece {
                        Change::Put { value, .. } => value.clone(),
                        Change::Delete { .. } => Vec::new(),
                    })
                    .collect();
                now.is_some_and(|text| text.as_bytes() == wanted)
            }
            (before, after) => before == after,
        }
    }
}

/// The ids of a document's pieces.
fn ids(document: &Document) -> Vec<String> {
    match &document.body {
        Body::Pieces { pieces, .. } => pieces.clone(),
        Body::Text { .. } => Vec::new(),
    }
}

impl Batch {
    /// Writes the pieces, then in one commit what leads to them, and takes away what nothing leads to any more.
    /// The revision; none where another commit came between.
    fn store(mut self, store: &dyn Store) -> Result<Option<u64>> {
        if !self.pieces.is_empty() {
            let key = format!("{PENDING}{:016x}", random::number());
            let keys: Vec<&str> = self.pieces.iter().map(Change::key).collect();
            let value = keys.join("\n").into_bytes();
            self.pieces.insert(0, Change::Put { key: key.clone(), value });
            self.changes.push(Change::Delete { key });
        }
        let limits = store.limits();
        if self.changes.len() > limits.changes {
            return Err(Error::usage(format!("change {} documents at once", self.expected.len())).cause(format!(
                "{} takes {} keys in one commit, two for each document and two more",
                store.name(),
                limits.changes
            )));
        }
        identify(store)?;
        in_parts(store, &self.pieces)?;
        let committed = store.commit(&self.expected, &self.changes);
        // What names the pieces goes last: whoever ends in between leaves it.
        let pieces = self.pieces.iter().skip(1).chain(self.pieces.first());
        let unused: Vec<Change> = pieces.map(|piece| Change::Delete { key: piece.key().to_string() }).collect();
        match committed {
            Ok(Committed::Done(revision)) => {
                // Of no use to anybody, and no harm to anybody.
                _ = in_parts(store, &self.left).and_then(|()| remove_abandoned(store));
                Ok(Some(revision))
            }
            Ok(Committed::Conflict) => {
                in_parts(store, &unused)?;
                Ok(None)
            }
            // Whether it is stored is not known: the pieces stay, until a later commit finds that it was not.
            Err(error) => Err(error),
        }
    }
}

/// Where the keys of the pieces of commits are that are at work: written with the pieces, gone with the commit.
const PENDING: &str = "pending/";

/// Removes the pieces of commits that ended with an error and were not stored. One that is still pending, and was before a
/// commit that is known already, will never be: it expects that none came since it began, which was before it wrote this.
/// What was the last commit is asked first: of those that come later nothing would follow.
fn remove_abandoned(store: &dyn Store) -> Result<()> {
    let last = store.get(LAST)?.map_or(0, |entry| entry.revision);
    let pending = store.list(PENDING)?.entries;
    for entry in pending.into_iter().filter(|entry| entry.revision < last) {
        let keys = String::from_utf8_lossy(&entry.value);
        let pieces =
            keys.lines().filter(|key| key.starts_with(PIECES)).map(|key| Change::Delete { key: key.to_string() });
        let changes: Vec<Change> = pieces.chain([Change::Delete { key: entry.key }]).collect();
        in_parts(store, &changes)?;
    }
    Ok(())
}

/// Makes changes that need not be made at once.
fn in_parts(store: &dyn Store, changes: &[Change]) -> Result<()> {
    let limits = store.limits();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for change in changes {
        if !part.is_empty() && (part.len() >= limits.changes || bytes + change.size() > limits.bytes) {
            store.commit(&[], &std::mem::take(&mut part))?;
            bytes = 0;
        }
        bytes += change.size();
        part.push(change.clone());
    }
    if !part.is_empty() {
        store.commit(&[], &part)?;
    }
    Ok(())
}
