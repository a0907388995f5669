//! Names of documents, and their keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::is_name;

/// What the keys of all documents begin with.
pub const DOCUMENTS: &str = "documents/";
/// What the keys of pieces begin with.
pub(super) const PIECES: &str = "pieces/";

/// What a document is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The elements of a set.
    Set,
    /// The backends of a pool.
    Pool,
    /// The rules of a policy.
    Policy,
    /// Where the policy of the same name is attached.
    Attachment,
}

impl Kind {
    /// All kinds, in the order in which one needs the other.
    pub const ALL: [Kind; 4] = [Kind::Set, Kind::Pool, Kind::Policy, Kind::Attachment];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Set => "set",
            Kind::Pool => "pool",
            Kind::Policy => "policy",
            Kind::Attachment => "attachment",
        }
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let plural = |kind: &Kind| match kind {
            Kind::Policy => "policies".to_string(),
            kind => format!("{}s", kind.word()),
        };
        let found = Kind::ALL.into_iter().find(|kind| kind.word() == word || plural(kind) == word);
        found.ok_or_else(|| {
            Error::usage(format!("{word} is no kind of document")).cause("there are policy, set, pool and attachment")
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The name of a document: `policy edge`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// What it is about.
    pub kind: Kind,
    /// Its name among those of its kind.
    pub name: String,
}

impl Name {
    /// The name of a document of this kind.
    pub fn new(kind: Kind, name: impl Into<String>) -> Self {
        Name { kind, name: name.into() }
    }

    /// The same, where it is a name in the policy language.
    ///
    /// # Errors
    /// It is none.
    pub fn checked(kind: Kind, name: &str) -> Result<Self> {
        if is_name(name) && name.len() <= 200 {
            return Ok(Name::new(kind, name));
        }
        Err(Error::usage(format!("{kind} {name:?}"))
            .cause("a name begins with a letter and goes on with letters, digits, _ and -"))
    }

    /// Its key in the store.
    pub fn key(&self) -> String {
        format!("{DOCUMENTS}{}", self.path())
    }

    /// What the keys of its earlier versions begin with.
    pub(super) fn history(&self) -> String {
        format!("history/{}/", self.path())
    }

    /// The key of one of its pieces; of no id, what those of all of them begin with.
    pub(super) fn piece(&self, id: &str) -> String {
        format!("{PIECES}{}/{id}", self.path())
    }

    fn path(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }

    /// The name that a key stands for.
    ///
    /// # Errors
    /// It is the key of no document.
    pub fn of_key(key: &str) -> Result<Self> {
        let path = key.strip_prefix(DOCUMENTS).and_then(|path| path.split_once('/'));
        let (kind, name) =
            path.ok_or_else(|| Error::failed(format!("the key {key:?}")).cause("it is of no document"))?;
        let kind = Kind::ALL.into_iter().find(|known| known.word() == kind);
        let kind = kind.ok_or_else(|| Error::failed(format!("the key {key:?}")).cause("there is no such kind"))?;
        Name::checked(kind, name)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_names() {
        let name = Name::new(Kind::Policy, "edge");
        assert_eq!(name.key(), "documents/policy/edge");
        assert_eq!(Name::of_key(&name.key()).unwrap(), name);
        for key in ["documents/policy", "documents/rule/a", "documents/policy/a/b", "documents/set/", "x", "documents/"]
        {
            assert!(Name::of_key(key).is_err(), "{key}");
        }
    }
}
