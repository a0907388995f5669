//! The JSON that the API takes and gives.

use serde::{Deserialize, Serialize};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Element};

use crate::agent::Step;
use crate::agent::reconcile::Planned;
use crate::agent::report::Report;
use crate::documents::change::{Content, Edit, Outcome};
use crate::documents::rollout::Rollout;
use crate::documents::{Kind, Name, Shown};

/// The version of all these documents.
pub(crate) const VERSION: u32 = 1;

/// Edits, which are made at once or not at all.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edits {
    #[serde(default)]
    pub(crate) edits: Vec<EditForm>,
}

/// An edit: exactly one of `text`, `elements`, `add` with `remove`, and `delete` is said.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The version that it must have; 0 where it must not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elements: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    add: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remove: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
}

impl EditForm {
    pub(crate) fn of(edit: &Edit) -> Self {
        let words = |elements: &[Element]| Some(elements.iter().map(ToString::to_string).collect());
        let form = EditForm {
            kind: Some(edit.name.kind),
            name: Some(edit.name.name.clone()),
            version: edit.version,
            ..EditForm::default()
        };
        match &edit.content {
            None => EditForm { delete: true, ..form },
            Some(Content::Text(text)) => EditForm { text: Some(text.clone()), ..form },
            Some(Content::Elements(elements)) => EditForm { elements: words(elements), ..form },
            Some(Content::Change { add, remove }) => EditForm { add: words(add), remove: words(remove), ..form },
            // Only in the store itself there are pieces already.
            Some(Content::Staged(_)) => form,
        }
    }

    /// The edit of the document that the form names, or of the one that the request names.
    ///
    /// # Errors
    /// The form says no document, two, or not one thing about it; an element is none.
    pub(crate) fn edit(self, named: Option<(Name, Option<u64>)>) -> Result<Edit> {
        let usage = |cause: &str| Error::usage("read an edit").cause(cause);
        let (name, version) = match (named, self.kind, self.name) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) => return Err(usage("the path names the document already")),
            (Some((name, version)), None, None) => (name, version.or(self.version)),
            (None, Some(kind), Some(name)) => (Name::checked(kind, &name)?, self.version),
            _ => return Err(usage("an edit has a kind and a name")),
        };
        let changes = self.add.is_some() || self.remove.is_some();
        let content = match (self.text, self.elements, changes, self.delete) {
            (Some(text), None, false, false) => Some(Content::of_text(&name, text)?),
            (None, Some(words), false, false) => Some(Content::Elements(elements(&words)?)),
            (None, None, true, false) => {
                let add = elements(&self.add.unwrap_or_default())?;
                Some(Content::Change { add, remove: elements(&self.remove.unwrap_or_default())? })
            }
            (None, None, false, true) => None,
            _ => return Err(usage("an edit says one of text, elements, add with remove, and delete")),
        };
        if name.kind != Kind::Set && !matches!(content, None | Some(Content::Text(_))) {
            return Err(usage("only sets have elements"));
        }
        Ok(Edit { name, content, version })
    }
}

/// Elements in words.
///
/// # Errors
/// A word is none.
pub(crate) fn elements(words: &[String]) -> Result<Vec<Element>> {
    policy::elements(&words.join("\n")).map_err(|problems| match problems.into_iter().next() {
        Some(problem) => problem.hint.into_iter().fold(Error::usage(problem.what), Error::cause),
        None => Error::usage("these are no elements"),
    })
}

/// What a commit did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct OutcomeForm {
    pub(crate) version: u32,
    pub(crate) revision: Option<u64>,
    pub(crate) written: Vec<Written>,
    pub(crate) deleted: Vec<String>,
    pub(crate) unchanged: Vec<String>,
}

/// A document that is new.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Written {
    pub(crate) document: String,
    pub(crate) version: u64,
}

impl OutcomeForm {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let words = |names: &[Name]| names.iter().map(ToString::to_string).collect();
        let written = |(name, version): &(Name, u64)| Written { document: name.to_string(), version: *version };
        OutcomeForm {
            version: VERSION,
            revision: outcome.revision,
            written: outcome.written.iter().map(written).collect(),
            deleted: words(&outcome.deleted),
            unchanged: words(&outcome.unchanged),
        }
    }

    pub(crate) fn outcome(&self) -> Result<Outcome> {
        let names = |words: &[String]| words.iter().map(|words| name(words)).collect::<Result<Vec<Name>>>();
        let written = self.written.iter().map(|one| Ok((name(&one.document)?, one.version)));
        Ok(Outcome {
            revision: self.revision,
            written: written.collect::<Result<_>>()?,
            deleted: names(&self.deleted)?,
            unchanged: names(&self.unchanged)?,
        })
    }
}

/// `policy edge`.
fn name(words: &str) -> Result<Name> {
    let (kind, name) = words.split_once(' ').unwrap_or((words, ""));
    Name::checked(kind.parse()?, name)
}

/// A step between the kernel and the store.
#[derive(Debug, Serialize, Deserialize)]
pub struct StepForm {
    /// `load`, `replace`, `sets` or `unload`.
    pub step: String,
    /// Of which policy.
    pub policy: String,
    /// Where, as the store says it.
    pub place: String,
    /// The target and the interface; empty where what stands there is to go.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// The sets that get other elements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<String>,
}

impl StepForm {
    pub(crate) fn of(planned: Planned) -> Self {
        let Planned { step, policy, place, label: interface } = planned;
        let (step, sets) = match step {
            Step::Load => ("load", Vec::new()),
            Step::Replace => ("replace", Vec::new()),
            Step::Sets(sets) => ("sets", sets.into_iter().collect()),
            Step::Unload => ("unload", Vec::new()),
        };
        StepForm { step: step.to_string(), policy, place, interface, sets }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Steps {
    pub(crate) version: u32,
    pub(crate) steps: Vec<StepForm>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Documents {
    pub(crate) version: u32,
    pub(crate) documents: Vec<Shown>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) version: u32,
    pub(crate) versions: Vec<Shown>,
}

/// Edits that are to be a rollout.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Staging {
    pub(crate) edits: Vec<EditForm>,
    /// Of the nodes that they concern, of a hundred.
    pub(crate) share: u8,
    pub(crate) bake_seconds: u64,
}

/// The rollout, where there is one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rollouts {
    pub(crate) version: u32,
    pub(crate) rollout: Option<RolloutForm>,
}

/// A rollout.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RolloutForm {
    /// A name that no other one has.
    pub id: String,
    /// The nodes that have it before the others.
    pub nodes: Vec<String>,
    /// How long they must be well with it.
    pub bake_seconds: u64,
    /// Whose change it is.
    pub by: String,
    /// The documents that it changes.
    pub documents: Vec<String>,
    /// Why it was halted; none while it is at work.
    pub halted: Option<String>,
}

impl RolloutForm {
    pub(crate) fn of(rollout: &Rollout) -> Self {
        RolloutForm {
            id: rollout.id.clone(),
            nodes: rollout.nodes.clone(),
            bake_seconds: rollout.bake.as_secs(),
            by: rollout.by.clone(),
            documents: rollout.bodies.keys().map(ToString::to_string).collect(),
            halted: rollout.halted.clone(),
        }
    }
}

/// How all nodes are.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Nodes {
    pub(crate) version: u32,
    /// That of the last commit of documents: a node whose report has this one, or a later one, knows all of them.
    pub(crate) revision: u64,
    pub(crate) nodes: Vec<Report>,
}

/// How this node is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) version: u32,
    /// The store, as it is named behind `--store`.
    pub(crate) store: String,
    /// Why it cannot be reached.
    pub(crate) away: Option<String>,
    /// None before the first pass.
    pub(crate) node: Option<Report>,
}

/// An error.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorForm {
    error: Parts,
}

#[derive(Debug, Serialize, Deserialize)]
struct Parts {
    what: String,
    kernel: Option<String>,
    cause: Option<String>,
    mend: Option<String>,
}

impl ErrorForm {
    pub(crate) fn of(error: &Error) -> Self {
        let owned = |words: Option<&str>| words.map(ToString::to_string);
        ErrorForm {
            error: Parts {
                what: error.what().to_string(),
                kernel: owned(error.kernel_words()),
                cause: owned(error.cause_text()),
                mend: owned(error.mend_text()),
            },
        }
    }

    pub(crate) fn error(self) -> Error {
        let Parts { what, kernel, cause, mend } = self.error;
        let error = kernel.into_iter().fold(Error::failed(what), Error::kernel);
        let error = cause.into_iter().fold(error, Error::cause);
        mend.into_iter().fold(error, Error::mend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_become_json_and_back() {
        let set = Name::new(Kind::Set, "bad");
        let some = elements(&["10.0.0.0/8".to_string(), "80".to_string()]).unwrap();
        let contents = [
            Some(Content::Text("set bad = { 1.2.3.4 }".to_string())),
            Some(Content::Elements(some.clone())),
            Some(Content::Change { add: some, remove: Vec::new() }),
            None,
        ];
        for content in contents {
            let edit = Edit { name: set.clone(), content, version: Some(3) };
            let json = serde_json::to_string(&EditForm::of(&edit)).unwrap();
            let back = serde_json::from_str::<EditForm>(&json).unwrap().edit(None).unwrap();
            assert_eq!(format!("{back:?}"), format!("{edit:?}"), "{json}");
        }
    }

    #[test]
    fn edits_say_one_thing_about_one_document() {
        for (json, cause) in [
            ("{}", "a kind and a name"),
            (r#"{"kind":"set","name":"a"}"#, "says one of"),
            (r#"{"kind":"set","name":"a","text":"","delete":true}"#, "says one of"),
            (r#"{"kind":"set","name":"a","elements":[],"add":[]}"#, "says one of"),
            (r#"{"kind":"policy","name":"a","add":["1.2.3.4"]}"#, "only sets"),
            (r#"{"kind":"set","name":"../a","delete":true}"#, "a name begins with a letter"),
        ] {
            let error = serde_json::from_str::<EditForm>(json).unwrap().edit(None).unwrap_err().to_string();
            assert!(error.contains(cause), "{json}: {error}");
        }
        assert!(serde_json::from_str::<EditForm>(r#"{"remov":[]}"#).is_err());
        assert!(serde_json::from_str::<EditForm>(r#"{"kind":"rule"}"#).is_err());
    }
}
