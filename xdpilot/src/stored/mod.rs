//! The verbs that read and change a store.

pub mod access;
pub mod apply;
pub mod config;
pub mod delete;
pub mod diff;
pub mod direct;
pub mod edit;
pub mod export;
pub mod get;
pub mod history;
mod remote;
pub mod rollback;
pub mod rollout;
pub mod wait;

use std::io::Write;

use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use crate::documents::{Kind, Name};
use crate::trial::printed;

/// The name of a document in two words: `policy edge`.
#[derive(Debug, clap::Args)]
pub struct Named {
    /// policy, set, pool or attachment
    #[arg(value_name = "KIND")]
    kind: Kind,
    /// The document's name
    name: String,
}

impl Named {
    /// The name.
    ///
    /// # Errors
    /// It is none.
    pub fn name(&self) -> Result<Name> {
        Name::checked(self.kind, &self.name)
    }
}

/// Prints a document of JSON.
fn print_json(out: &mut impl Write, document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::failed("print the result as JSON").cause(error.to_string()))?;
    print(out, &(text + "\n"))
}

fn print(out: &mut impl Write, text: &str) -> Result<()> {
    printed(out.write_all(text.as_bytes()))
}
