//! Sets of loaded policies, brought from what a document said to what it says.

use std::collections::HashSet;
use std::sync::Arc;

use xdpilot_core::cond::Part;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::Element;

use crate::documents::{Kind, Meaning, Name, Pieces, Snapshot};
use crate::policy::elements::Contents;
use crate::policy::sets;
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

/// What is in the first only, and in the second only.
fn difference(old: &[Element], new: &[Element]) -> (Vec<Element>, Vec<Element>) {
    let only = |these: &[Element], those: &[Element]| -> Vec<Element> {
        let those: HashSet<&Element> = those.iter().collect();
        these.iter().filter(|element| !those.contains(element)).cloned().collect()
    };
    (only(old, new), only(new, old))
}

/// Gives a set of a loaded policy these elements. One that comes or goes does so in place; several are exchanged
/// together with all others, so that no packet meets a half of the change. `change` says what comes and goes where that
/// is known; else it is found out from what is there.
///
/// # Errors
/// There is no room for them, or the kernel refuses; the policy is gone.
pub(super) fn apply(
    pinned: &Pinned,
    set: &str,
    change: Option<(Vec<Element>, Vec<Element>)>,
    all: &mut dyn FnMut() -> Result<Vec<Element>>,
) -> Result<()> {
    let gone = || Error::failed(format!("change set {set}")).cause("its policy is gone");
    let mut loaded = sets::at(pinned.clone())?.ok_or_else(gone)?;
    let record = loaded.record.policy.iter().flat_map(|policy| &policy.sets).find(|one| one.name == set).cloned();
    for (part, map) in record.ok_or_else(gone)?.maps() {
        let mut contents = Contents::open(loaded.take_map(map).ok_or_else(gone)?, part)?;
        let of_kind = |elements: Vec<Element>| -> Vec<Element> {
            elements.into_iter().filter(|element| element.part() == part).collect()
        };
        let (removed, added) = match &change {
            Some((removed, added)) => (of_kind(removed.clone()), of_kind(added.clone())),
            None => difference(&contents.list()?, &of_kind(all()?)),
        };
        match removed.len() + added.len() {
            0 => {}
            // Ranges of ports overlap, and one that goes takes from others.
            1 if part != Part::Port => drop(contents.apply(&removed, &added)?),
            _ => contents.replace(&of_kind(all()?))?,
        }
    }
    Ok(())
}

/// Whether a set of a loaded policy has other elements than these.
///
/// # Errors
/// The kernel refuses; the policy is gone.
pub(super) fn differs(pinned: &Pinned, set: &str, all: &[Element]) -> Result<bool> {
    let gone = || Error::failed(format!("read set {set}")).cause("its policy is gone");
    let mut loaded = sets::at(pinned.clone())?.ok_or_else(gone)?;
    let record = loaded.record.policy.iter().flat_map(|policy| &policy.sets).find(|one| one.name == set).cloned();
    for (part, map) in record.ok_or_else(gone)?.maps() {
        let contents = Contents::open(loaded.take_map(map).ok_or_else(gone)?, part)?;
        let wanted: Vec<Element> = all.iter().filter(|element| element.part() == part).cloned().collect();
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
