//! Container engines, asked over the HTTP API on their Unix sockets: no client program is needed.
//!
//! Docker's Engine API (v1.x, unversioned paths) is spoken to both; Podman serves the same paths.

mod api;
mod client;
pub mod events;
pub(crate) mod http;
mod socket;

#[cfg(test)]
mod fake;

use std::fmt;
use std::time::Duration;

use xdpilot_core::error::Result;

pub use client::Client;
pub(crate) use client::is_name;

/// So long an engine may take to answer.
pub(crate) const PATIENCE: Duration = http::LIMITS.time;

/// A container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Docker Engine.
    Docker,
    /// Podman, through `podman system service`.
    Podman,
}

impl Engine {
    /// The name in targets and the name of its command: `docker` or `podman`.
    pub fn word(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }

    /// The name in prose.
    pub fn title(self) -> &'static str {
        match self {
            Engine::Docker => "Docker",
            Engine::Podman => "Podman",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The engine it runs in.
    pub engine: Engine,
    /// Its name, without the API's leading slash.
    pub name: String,
    /// Its full id, hexadecimal.
    pub id: String,
    /// The process id of its first process, as the engine's process namespace counts.
    pub pid: u32,
}

/// The running containers of `engine`, by name. Errors: as [`Client::connect`] and [`Client::list`].
pub fn list(engine: Engine) -> Result<Vec<Container>> {
    Client::connect(engine)?.list()
}

/// Whether an engine answers at all.
pub(crate) fn answers(engine: Engine) -> bool {
    Client::connect(engine).is_ok_and(|client| client.answers())
}

/// The running container of this name, id or beginning of an id.
/// Errors: as [`Client::connect`] and [`Client::find`].
pub fn find(engine: Engine, name: &str) -> Result<Container> {
    Client::connect(engine)?.find(name)
}
