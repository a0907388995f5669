//! Sets of loaded policies, brought from what a document said to what it says.

use std::sync::Arc;

use xdpilot_core::cond::Part;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::Element;

use crate::documents::{Kind, Meaning, Name, Pieces, Snapshot};
use crate::policy::elements::{Contents, difference};
use crate::policy::sets::{self, Loaded};
use crate::state::Pinned;
use crate::store::Store;

/// What a set's document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// These elements.
    Listed(Arc<Meaning>),
    /// Those in these pieces.
    Pieces(Vec<String>),
}

impl Value {
    /// What the snapshot says of a set; none where it has no sound one.
    pub(super) fn of(snapshot: &Snapshot, set: &str) -> Option<Self> {
        let meaning = snapshot.meaning(Kind::Set, set)?.as_ref().ok()?;
        Some(match &**meaning {
            Meaning::SetPieces(ids) => Value::Pieces(ids.clone()),
            _ => Value::Listed(meaning.clone()),
        })
    }

    /// All elements.
    pub(super) fn elements(&self, store: &dyn Store, set: &str, pieces: &mut Pieces) -> Result<Vec<Element>> {
        match self {
            Value::Pieces(ids) => pieces.all(store, &Name::new(Kind::Set, set), ids),
            Value::Listed(meaning) => Ok(match &**meaning {
                Meaning::Set(elements) => elements.clone(),
                _ => Vec::new(),
            }),
        }
    }
}

/// What changes from one value to the other: elements that go, and that come.
pub(super) fn change(
    store: &dyn Store,
    set: &str,
    (before, after): (&Value, &Value),
    pieces: &mut Pieces,
) -> Result<(Vec<Element>, Vec<Element>)> {
    let name = Name::new(Kind::Set, set);
    let (old, new) = match (before, after) {
        // An element is in the same piece as long as there are as many.
        (Value::Pieces(old), Value::Pieces(new)) if old.len() == new.len() => {
            let (mut gone, mut come) = (Vec::new(), Vec::new());
            for (old, new) in old.iter().zip(new).filter(|(old, new)| old != new) {
                gone.extend_from_slice(&pieces.elements(store, &name, old)?);
                come.extend_from_slice(&pieces.elements(store, &name, new)?);
            }
            (gone, come)
        }
        (before, after) => (before.elements(store, set, pieces)?, after.elements(store, set, pieces)?),
    };
    Ok(difference(&old, &new))
}

/// What is to be changed of a set of a loaded policy, in each of its maps that are not as they should be.
#[derive(Debug)]
pub(super) struct Pending {
    maps: Vec<PendingMap>,
}

#[derive(Debug)]
struct PendingMap {
    part: Part,
    contents: Contents,
    removed: Vec<Element>,
    added: Vec<Element>,
}

impl Pending {
    /// `change` says what comes and goes where that is known; else it is found out from what is there.
    ///
    /// # Errors
    /// The policy has no such set (any more), or the kernel refuses.
    pub(super) fn find(
        loaded: &mut Loaded,
        set: &str,
        change: Option<(Vec<Element>, Vec<Element>)>,
        all: &mut dyn FnMut() -> Result<Vec<Element>>,
    ) -> Result<Self> {
        let mut maps = Vec::new();
        for (part, contents) in maps_of(loaded, set)? {
            let (removed, added) = match &change {
                Some((removed, added)) => (of_kind(part, removed), of_kind(part, added)),
                None => difference(&contents.list()?, &of_kind(part, &all()?)),
            };
            if !(removed.is_empty() && added.is_empty()) {
                maps.push(PendingMap { part, contents, removed, added });
            }
        }
        Ok(Pending { maps })
    }

    /// How many maps are to be changed.
    pub(super) fn maps(&self) -> usize {
        self.maps.len()
    }

    /// Changes them. One element that comes or goes does so in place; several are exchanged together with all others,
    /// so that no packet meets a half of the change.
    ///
    /// # Errors
    /// There is no room for them, or the kernel refuses.
    pub(super) fn apply(self, all: &mut dyn FnMut() -> Result<Vec<Element>>) -> Result<()> {
        for PendingMap { part, mut contents, removed, added } in self.maps {
            match removed.len() + added.len() {
                // Ranges of ports overlap, and one that goes takes from others.
                1 if part != Part::Port => drop(contents.apply(&removed, &added)?),
                _ => contents.replace(&of_kind(part, &all()?))?,
            }
        }
        Ok(())
    }
}

/// The maps of a set of a loaded policy.
fn maps_of(loaded: &mut Loaded, set: &str) -> Result<Vec<(Part, Contents)>> {
    let gone = || Error::failed(format!("open set {set}")).cause("its policy is gone");
    let record = loaded.record.policy.iter().flat_map(|policy| &policy.sets).find(|one| one.name == set).cloned();
    let mut maps = Vec::new();
    for (part, map) in record.ok_or_else(gone)?.maps() {
        maps.push((part, Contents::open(loaded.take_map(map).ok_or_else(gone)?, part)?));
    }
    Ok(maps)
}

fn of_kind(part: Part, elements: &[Element]) -> Vec<Element> {
    elements.iter().filter(|element| element.part() == part).cloned().collect()
}

/// Whether a set of a loaded policy has other elements than these.
///
/// # Errors
/// The kernel refuses; the policy is gone.
pub(super) fn differs(pinned: &Pinned, set: &str, all: &[Element]) -> Result<bool> {
    let gone = || Error::failed(format!("read set {set}")).cause("its policy is gone");
    let mut loaded = sets::at(pinned.clone())?.ok_or_else(gone)?;
    for (part, contents) in maps_of(&mut loaded, set)? {
        let wanted = of_kind(part, all);
        let there = contents.list()?;
        // Ranges of ports that touch are one there.
        let differs = match part {
            Part::Port => ports(&there) != ports(&wanted),
            _ => difference(&there, &wanted) != (Vec::new(), Vec::new()),
        };
        if differs {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ports(elements: &[Element]) -> std::collections::BTreeSet<u16> {
    let ports = elements.iter().filter_map(|element| match element {
        Element::Ports(range) => Some(range.clone()),
        _ => None,
    });
    ports.flatten().collect()
}
