//! Long documents in pieces, of which a change writes only those that are other ones.

use std::collections::HashMap;
use std::sync::Arc;

use sha1::{Digest, Sha1};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Element};

use super::{Body, Document, Name};
use crate::store::{Change, Store};
use crate::{fnv, random};

/// A document of more bytes than this is stored in pieces.
pub(super) const INLINE: usize = 64 << 10;
/// A piece of a text has at most so many bytes, but for a longer line.
const PIECE: usize = 128 << 10;
/// So many elements a piece of a set has, when it is cut anew.
const ELEMENTS: usize = 2048;
/// How many times more or fewer they may become before it is.
const SLACK: usize = 4;

/// A document's body, and the pieces that must be written before it.
pub(super) struct Cut {
    pub(super) body: Body,
    pub(super) pieces: Vec<Change>,
}

/// A text, in pieces where it is long.
pub(super) fn text(name: &Name, text: String) -> Cut {
    if text.len() <= INLINE {
        return Cut { body: Body::Text { text }, pieces: Vec::new() };
    }
    let mut cut = Cut { body: Body::Pieces { elements: None, pieces: Vec::new() }, pieces: Vec::new() };
    let mut piece = String::new();
    let mut ids = Vec::new();
    let mut end = |piece: &mut String| {
        let piece = std::mem::take(piece);
        if !piece.is_empty() {
            let id = id(ids.len(), piece.as_bytes());
            cut.pieces.push(Change::Put { key: name.piece(&id), value: piece.into_bytes() });
            ids.push(id);
        }
    };
    for line in text.split_inclusive('\n') {
        if piece.len() + line.len() > PIECE {
            end(&mut piece);
        }
        piece += line;
    }
    end(&mut piece);
    cut.body = Body::Pieces { elements: None, pieces: ids };
    cut
}

/// The elements of a set, in pieces where they are many. Pieces of the document before that stay as they are are not
/// written again.
pub(super) fn set(name: &Name, elements: &[Element], before: Option<&Document>) -> Cut {
    let mut words: Vec<String> = elements.iter().map(ToString::to_string).collect();
    words.sort_unstable();
    words.dedup();
    if words.iter().map(|word| word.len() + 2).sum::<usize>() <= INLINE {
        return Cut { body: Body::Text { text: inline(name, &words) }, pieces: Vec::new() };
    }
    let known: &[String] = match before.map(|document| &document.body) {
        Some(Body::Pieces { pieces, elements: Some(_) }) => pieces,
        _ => &[],
    };
    let least = words.len() / (ELEMENTS * SLACK);
    let most = words.len() / (ELEMENTS / SLACK);
    let count = match known.len() {
        count if count > 0 && (least..=most).contains(&count) => count,
        _ => words.len().div_ceil(ELEMENTS).next_power_of_two(),
    };
    let total = words.len() as u64;
    let mut buckets = vec![String::new(); count];
    for word in words {
        let bucket = &mut buckets[bucket(&word, count)];
        *bucket += &word;
        bucket.push('\n');
    }
    let (mut ids, mut pieces) = (Vec::new(), Vec::new());
    for (index, bucket) in buckets.into_iter().enumerate() {
        let hash = hash(index, bucket.as_bytes());
        match known.get(index).filter(|id| known.len() == count && id.starts_with(&hash)) {
            Some(id) => ids.push(id.clone()),
            None => {
                let id = format!("{hash}-{}", nonce());
                pieces.push(Change::Put { key: name.piece(&id), value: bucket.into_bytes() });
                ids.push(id);
            }
        }
    }
    Cut { body: Body::Pieces { elements: Some(total), pieces: ids }, pieces }
}

/// A set as a statement, a few elements a line.
fn inline(name: &Name, words: &[String]) -> String {
    if words.len() <= 4 {
        return format!("set {} = {{ {} }}\n", name.name, words.join(", ")).replace("{  }", "{}");
    }
    let lines: String = words.iter().map(|word| format!("  {word}\n")).collect();
    format!("set {} = {{\n{lines}}}\n", name.name)
}

/// The piece that an element is in.
pub(super) fn bucket(element: &str, count: usize) -> usize {
    let hash = fnv::hash(fnv::NOTHING, element.bytes());
    usize::try_from((hash ^ (hash >> 32)) & 0xffff_ffff).unwrap_or(0) % count.max(1)
}

/// The id of a piece: no two commits ever write the same one, so that none deletes what another relies on.
pub(super) fn id(index: usize, content: &[u8]) -> String {
    format!("{}-{}", hash(index, content), nonce())
}

fn hash(index: usize, content: &[u8]) -> String {
    let digest = Sha1::digest(content);
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{index:04x}-{digest}")
}

/// A number that no other process comes upon.
fn nonce() -> String {
    format!("{:016x}", random::number())
}

/// The elements of pieces that were read, by their keys.
#[derive(Debug, Default)]
pub struct Pieces {
    read: HashMap<String, Arc<[Element]>>,
}

impl Pieces {
    /// The elements of a piece of a set.
    ///
    /// # Errors
    /// The store cannot be reached, the piece is gone, or is no list of elements.
    pub fn elements(&mut self, store: &dyn Store, name: &Name, id: &str) -> Result<Arc<[Element]>> {
        let key = name.piece(id);
        if let Some(elements) = self.read.get(&key) {
            return Ok(elements.clone());
        }
        let text = one(store, name, id)?;
        let elements = policy::elements(&text)
            .map_err(|_| Error::failed(format!("{name} in the store")).cause(format!("its piece {id} is damaged")))?;
        let elements: Arc<[Element]> = elements.into();
        self.read.insert(key, elements.clone());
        Ok(elements)
    }

    /// All elements of a set.
    ///
    /// # Errors
    /// As [`Pieces::elements`].
    pub fn all(&mut self, store: &dyn Store, name: &Name, ids: &[String]) -> Result<Vec<Element>> {
        let missing = ids.iter().filter(|id| !self.read.contains_key(&name.piece(id))).count();
        if missing > FEW {
            self.read_all(store, name, ids)?;
        }
        let mut all = Vec::new();
        for id in ids {
            all.extend_from_slice(&self.elements(store, name, id)?);
        }
        Ok(all)
    }

    /// Reads all pieces of a set at once.
    fn read_all(&mut self, store: &dyn Store, name: &Name, ids: &[String]) -> Result<()> {
        let wanted: std::collections::HashSet<String> = ids.iter().map(|id| name.piece(id)).collect();
        for entry in store.list(&name.piece(""))?.entries {
            if !wanted.contains(&entry.key) || self.read.contains_key(&entry.key) {
                continue;
            }
            if let Ok(elements) = policy::elements(&String::from_utf8_lossy(&entry.value)) {
                self.read.insert(entry.key, elements.into());
            }
        }
        Ok(())
    }

    /// Forgets the pieces that are not these.
    pub fn keep(&mut self, used: impl Fn(&str) -> bool) {
        self.read.retain(|key, _| used(key));
    }
}

/// Fewer pieces than this are read one by one.
const FEW: usize = 8;

/// The text of a piece.
pub(super) fn one(store: &dyn Store, name: &Name, id: &str) -> Result<String> {
    let gone = || Error::failed(format!("{name} in the store")).cause(format!("its piece {id} is gone"));
    let entry = store.get(&name.piece(id))?.ok_or_else(gone)?;
    String::from_utf8(entry.value)
        .map_err(|_| Error::failed(format!("{name} in the store")).cause(format!("its piece {id} is no text")))
}

/// The keys of the pieces of a document's body.
pub fn keys(name: &Name, body: &Body) -> Vec<String> {
    match body {
        Body::Pieces { pieces, .. } => pieces.iter().map(|id| name.piece(id)).collect(),
        Body::Text { .. } => Vec::new(),
    }
}

/// The text of a document, whole; of a set in pieces, as a statement.
///
/// # Errors
/// The store cannot be reached, or a piece is gone.
pub fn whole(store: &dyn Store, name: &Name, document: &Document) -> Result<String> {
    match &document.body {
        Body::Text { text } => Ok(text.clone()),
        Body::Pieces { elements: None, pieces } => pieces.iter().map(|id| one(store, name, id)).collect(),
        Body::Pieces { elements: Some(_), pieces } => {
            let elements = Pieces::default().all(store, name, pieces)?;
            let mut words: Vec<String> = elements.iter().map(ToString::to_string).collect();
            words.sort_unstable();
            Ok(inline(name, &words))
        }
    }
}

/// A set in pieces, with so many elements, after some came and went: only the pieces that change are read and written.
///
/// # Errors
/// A piece cannot be read.
pub(super) fn change(
    store: &dyn Store,
    name: &Name,
    (ids, count): (&[String], u64),
    add: &[Element],
    remove: &[Element],
) -> Result<Cut> {
    let mut touched: std::collections::BTreeMap<usize, [Vec<String>; 2]> = std::collections::BTreeMap::new();
    for (which, elements) in [add, remove].into_iter().enumerate() {
        for element in elements {
            let word = element.to_string();
            touched.entry(bucket(&word, ids.len())).or_default()[which].push(word);
        }
    }
    let (mut now, mut pieces, mut total) = (ids.to_vec(), Vec::new(), 0i64);
    for (index, [add, remove]) in touched {
        let Some(id) = ids.get(index) else { continue };
        let text = one(store, name, id)?;
        let mut words: std::collections::BTreeSet<&str> = text.lines().collect();
        let before = words.len();
        remove.iter().for_each(|word| _ = words.remove(word.as_str()));
        words.extend(add.iter().map(String::as_str));
        let content: String = words.iter().flat_map(|word| [*word, "\n"]).collect();
        if content == text {
            continue;
        }
        total += i64::try_from(words.len()).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        let id = self::id(index, content.as_bytes());
        pieces.push(Change::Put { key: name.piece(&id), value: content.into_bytes() });
        now[index] = id;
    }
    Ok(Cut { body: Body::Pieces { elements: count.checked_add_signed(total), pieces: now }, pieces })
}
