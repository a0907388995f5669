//! How a verb reaches the documents: in the store itself, or by the agent of this machine.

use std::path::Path;
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

use super::config::Config;
use super::direct;
use super::remote::Remote;
use crate::agent::api::forms::{RolloutForm, StepForm};
use crate::agent::reconcile::{Note, Reconciler};
use crate::agent::report::Report;
use crate::documents::change::{self, Edit, Outcome};
use crate::documents::{Name, Shown, Snapshot};
use crate::store::{self, Address, Store};

/// The way to the documents.
pub struct Access {
    way: Way,
    config: Config,
}

enum Way {
    /// The store itself, and whether there is an agent that follows it.
    Store(Box<dyn Store>, bool),
    /// An agent.
    Agent(Remote),
}

impl Access {
    /// Opens the store that is meant, or finds the agent that has it.
    ///
    /// # Errors
    /// It cannot be reached.
    pub fn open(config: Config) -> Result<Self> {
        let way = match &config.store {
            Some(address @ Address::Etcd(_)) => Way::Store(store::open(address)?, true),
            Some(address @ Address::Embedded(path)) => match holder(&config, path)? {
                Some(remote) => Way::Agent(remote),
                None => Way::Store(store::open(address)?, false),
            },
            None => match Remote::find(&config.socket())? {
                Some(remote) => Way::Agent(remote),
                None => Way::Store(store::open(&config.store_or_default())?, false),
            },
        };
        Ok(Access { way, config })
    }

    /// All documents, without their texts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn list(&self) -> Result<Vec<Shown>> {
        match &self.way {
            Way::Store(store, _) => direct::list(&**store),
            Way::Agent(remote) => remote.list(),
        }
    }

    /// A document with its whole text; none where there is no such document.
    ///
    /// # Errors
    /// The store cannot be read, or the document is none.
    pub fn text(&self, name: &Name) -> Result<Option<Shown>> {
        match &self.way {
            Way::Store(store, _) => direct::text(&**store, name),
            Way::Agent(remote) => remote.text(name),
        }
    }

    /// The versions of a document that are known, oldest first, without their texts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn versions(&self, name: &Name) -> Result<Vec<Shown>> {
        match &self.way {
            Way::Store(store, _) => direct::versions(&**store, name),
            Way::Agent(remote) => remote.versions(name),
        }
    }

    /// A version of a document, with its whole text.
    ///
    /// # Errors
    /// It is not known (any more).
    pub fn version(&self, name: &Name, version: u64) -> Result<Shown> {
        match &self.way {
            Way::Store(store, _) => direct::version(&**store, name, version),
            Way::Agent(remote) => remote.version(name, version),
        }
    }

    /// Changes documents.
    ///
    /// # Errors
    /// As of [`change::commit`].
    pub fn commit(&self, edits: &[Edit]) -> Result<Outcome> {
        match &self.way {
            Way::Store(store, _) => change::commit(&**store, edits, &by()),
            Way::Agent(remote) => remote.commit(edits, &by()),
        }
    }

    /// Makes edits a rollout, for a share (of a hundred) of the nodes that they concern.
    ///
    /// # Errors
    /// As of [`change::stage`]; no node is concerned.
    pub fn stage(&self, edits: &[Edit], share: u8, bake: Duration) -> Result<RolloutForm> {
        match &self.way {
            Way::Store(store, _) => {
                let nodes = direct::reports(&**store)?;
                direct::stage(&**store, &nodes, edits, (share, bake), &by()).map(|one| RolloutForm::of(&one))
            }
            Way::Agent(remote) => remote.stage(edits, share, bake, &by()),
        }
    }

    /// The rollout in the store.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn rollout(&self) -> Result<Option<RolloutForm>> {
        match &self.way {
            Way::Store(store, _) => Ok(direct::rollout(&**store)?.as_ref().map(RolloutForm::of)),
            Way::Agent(remote) => remote.rollout("GET", ""),
        }
    }

    /// Halts the rollout in the store; none where none is at work.
    ///
    /// # Errors
    /// The store cannot be changed.
    pub fn halt(&self) -> Result<Option<RolloutForm>> {
        match &self.way {
            Way::Store(store, _) => Ok(direct::halt(&**store, &by())?.as_ref().map(RolloutForm::of)),
            Way::Agent(remote) => remote.rollout("DELETE", &by()),
        }
    }

    /// Brings this machine's kernel to what the store says, where no agent does; what it is like then.
    ///
    /// # Errors
    /// This user may not do that.
    pub fn reconcile(&self) -> Result<Option<Report>> {
        let Way::Store(store, false) = &self.way else { return Ok(None) };
        let snapshot = Snapshot::read(&**store)?;
        let mut reconciler = Reconciler::new(self.config.node.clone());
        let report = reconciler.pass(&**store, &snapshot)?;
        for Note { place, words, .. } in reconciler.take_notes() {
            eprintln!("note: {place}: {words}");
        }
        Ok(Some(report))
    }

    /// What would change in this machine's kernel until it equals the store, as it is or as it would be after edits.
    ///
    /// # Errors
    /// The edits cannot be made, or this user may not see what stands.
    pub fn plan(&self, edits: &[Edit]) -> Result<Vec<StepForm>> {
        match &self.way {
            Way::Store(store, _) => {
                Ok(direct::plan(&**store, &self.config.node, edits)?.into_iter().map(StepForm::of).collect())
            }
            Way::Agent(remote) => remote.plan(edits),
        }
    }

    /// The reports of all nodes that are alive.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn reports(&self) -> Result<Vec<Report>> {
        match &self.way {
            Way::Store(store, _) => direct::reports(&**store),
            Way::Agent(remote) => remote.nodes().map(|nodes| nodes.nodes),
        }
    }

    /// The revision of the last commit of documents.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn last(&self) -> Result<u64> {
        match &self.way {
            Way::Store(store, _) => direct::last(&**store),
            Way::Agent(remote) => remote.nodes().map(|nodes| nodes.revision),
        }
    }
}

/// The agent that has a store's file open: its socket is in the folder of what the node keeps, or beside the file.
fn holder(config: &Config, path: &Path) -> Result<Option<Remote>> {
    let beside = Config { state: path.parent().unwrap_or(Path::new("")).to_owned(), ..config.clone() };
    for socket in [config.socket(), beside.socket()] {
        // An agent that this user may not ask has another store, or the file is not this user's either.
        let Ok(Some(remote)) = Remote::find(&socket) else { continue };
        if is_store(&remote.store()?, path) {
            return Ok(Some(remote));
        }
    }
    Ok(None)
}

/// Whether a store that an agent names is the file that a command means.
fn is_store(name: &str, path: &Path) -> bool {
    let same = |other: &str| match (Path::new(other).canonicalize(), path.canonicalize()) {
        (Ok(other), Ok(path)) => other == path,
        _ => Path::new(other) == path,
    };
    name.strip_prefix("redb:").is_some_and(same)
}

/// Who changes documents, in words.
fn by() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    variable("SUDO_USER").or_else(|| variable("USER")).unwrap_or_else(|| "root".to_string())
}

/// What an error is where this user may not ask the agent.
pub(super) fn denied(socket: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("ask the agent at {}", socket.display()))
        .of_kind(xdpilot_core::error::Kind::NotPermitted)
        .kernel(error.to_string())
        .cause("its socket is root's")
        .mend("run the command with sudo")
}
