//! The few fields of the Engine API's JSON that are read here. Both engines send more, and differ in that.

use serde::Deserialize;

/// An element of `GET /containers/json`.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    #[serde(rename = "Id")]
    pub(super) id: String,
    /// Each with a leading slash; a legacy link adds `/OTHER/ALIAS`.
    #[serde(rename = "Names", default)]
    pub(super) names: Option<Vec<String>>,
}

/// `GET /containers/{name}/json`.
#[derive(Debug, Deserialize)]
pub(super) struct Details {
    #[serde(rename = "Id")]
    pub(super) id: String,
    #[serde(rename = "Name")]
    pub(super) name: String,
    #[serde(rename = "State")]
    pub(super) state: State,
}

/// How a container is.
#[derive(Debug, Deserialize)]
pub(super) struct State {
    /// `created`, `running`, `paused`, `exited`, …
    #[serde(rename = "Status", default)]
    pub(super) status: String,
    /// Zero unless it runs. Signed in the API.
    #[serde(rename = "Pid")]
    pub(super) pid: i64,
}

impl State {
    /// The process id of the first process, if it runs.
    pub(super) fn running_pid(&self) -> Option<u32> {
        u32::try_from(self.pid).ok().filter(|&pid| pid > 0)
    }
}

/// A line of `GET /events`.
#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(rename = "Action")]
    pub(super) action: String,
    #[serde(rename = "Actor")]
    pub(super) actor: Actor,
}

/// What an event is about.
#[derive(Debug, Deserialize)]
pub(super) struct Actor {
    #[serde(rename = "ID")]
    pub(super) id: String,
    #[serde(rename = "Attributes", default)]
    pub(super) attributes: Attributes,
}

/// Facts of a container, beside its labels.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Attributes {
    #[serde(default)]
    pub(super) name: String,
    /// With a leading slash; only where it was renamed.
    #[serde(rename = "oldName", default)]
    pub(super) old_name: Option<String>,
}

/// The body of an answer that is not 200.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) message: String,
}

/// A name as people write it: without the API's leading slash.
pub(super) fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}
