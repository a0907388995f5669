//! What the text of a document means.

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{self, Element, Members, PolicyPlace, Pool};
use xdpilot_core::problem::Problem;

use super::{Kind, Name};

/// What a document means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// One policy without its `on`, and tests on it; and its text.
    Policy(Box<policy::Document>, String),
    /// A pool.
    Pool(Box<Pool>),
    /// The elements of a set.
    Set(Vec<Element>),
    /// The ids of the pieces that hold the elements of a set.
    SetPieces(Vec<String>),
    /// Where a policy is attached.
    Attachment(Vec<PolicyPlace>),
}

impl Meaning {
    /// Reads a text.
    ///
    /// # Errors
    /// It is not what a document of this kind and name says.
    pub fn of_text(name: &Name, text: &str) -> Result<Self> {
        let shown = |problems: Vec<Problem>| {
            let shown: Vec<String> = problems.iter().map(|problem| problem.show(&name.to_string(), text)).collect();
            Error::usage(shown.join("\n"))
        };
        if name.kind == Kind::Attachment {
            let places = policy::some_places(text).map_err(|problem| shown(vec![problem]))?;
            places.iter().try_for_each(|place| place.target.parse::<crate::target::Target>().map(drop))?;
            return Ok(Meaning::Attachment(places));
        }
        let mut document = policy::parse(text).map_err(shown)?;
        let names = |kind: Kind| -> Vec<&str> {
            match kind {
                Kind::Set => document.sets.iter().map(|set| set.name.as_str()).collect(),
                Kind::Pool => document.pools.iter().map(|pool| pool.name.as_str()).collect(),
                _ => document.policies.iter().map(|policy| policy.name.as_str()).collect(),
            }
        };
        let is_it = |kind: &Kind| names(*kind) == if *kind == name.kind { vec![name.name.as_str()] } else { vec![] };
        if !Kind::ALL.iter().take(3).all(is_it) {
            return Err(Error::usage(name.to_string()).cause(format!("its text must say {name}, and nothing else")));
        }
        match name.kind {
            Kind::Policy if document.policies.iter().any(|policy| !policy.places.is_empty()) => {
                Err(Error::usage(name.to_string())
                    .cause("where it is attached is a document of its own")
                    .mend(format!("xdpilot edit attachment {}", name.name)))
            }
            Kind::Set => match document.sets.pop().map(|set| set.members) {
                Some(Members::Listed(elements)) => Ok(Meaning::Set(elements)),
                _ => Err(Error::usage(name.to_string()).cause("a store holds elements, not the names of files")),
            },
            Kind::Pool => Ok(Meaning::Pool(Box::new(document.pools.remove(0)))),
            _ => Ok(Meaning::Policy(Box::new(document), text.to_string())),
        }
    }
}
