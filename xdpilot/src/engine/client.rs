//! The questions asked of an engine, and its answers in words.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::near::near;

use super::api::{Details, Refusal, Summary, plain};
use super::http::{self, LIMITS, Response};
use super::{Container, Engine, socket};

/// An engine and the socket on which it is asked. Each question is a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    engine: Engine,
    socket: PathBuf,
}

impl Client {
    /// The engine of this machine, found by `DOCKER_HOST` or `CONTAINER_HOST` (`unix://PATH` only), else on its
    /// usual sockets. Errors: none listens, or this user may not ask it (`NotPermitted`).
    pub fn connect(engine: Engine) -> Result<Self> {
        let paths = socket::candidates(engine, |name| std::env::var(name).ok())?;
        Ok(Client { engine, socket: socket::first_answering(engine, paths)? })
    }

    /// The engine that listens on `socket`. Nothing is asked yet.
    pub fn at(engine: Engine, socket: impl Into<PathBuf>) -> Self {
        Client { engine, socket: socket.into() }
    }

    /// The socket on which it is asked.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The running containers, by name; one that ends meanwhile is left out.
    /// Errors: the engine does not answer within 5 s a question, or with more than 16 MiB, or not sensibly.
    pub fn list(&self) -> Result<Vec<Container>> {
        let mut containers = Vec::new();
        for summary in self.summaries(false)? {
            let Some(details) = self.details(&summary.id)? else { continue };
            containers.extend(self.running(&details));
        }
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// The running container of this name, id or beginning of an id (the engine decides, names before ids).
    /// Errors: as [`Client::list`]; no such container (`Usage`; near names are listed); it does not run; several ids
    /// begin so.
    pub fn find(&self, name: &str) -> Result<Container> {
        if !is_name(name) {
            return Err(self.no_such(name).cause("a container's name has only letters, digits, '_', '.' and '-'"));
        }
        let Some(details) = self.details(name)? else {
            return Err(self.unknown(name));
        };
        self.running(&details).ok_or_else(|| {
            let name = plain(&details.name);
            Error::failed(format!("find container {}:{name}", self.engine))
                .cause(format!("it exists but is not running (it is {})", details.state.status))
                .mend(format!("{} start {name}", self.engine))
        })
    }

    fn running(&self, details: &Details) -> Option<Container> {
        let pid = details.state.running_pid()?;
        let (name, id) = (plain(&details.name).to_owned(), details.id.clone());
        Some(Container { engine: self.engine, name, id, pid })
    }

    fn unknown(&self, name: &str) -> Error {
        let error = self.no_such(name);
        let Ok(all) = self.summaries(true) else { return error };
        let names: Vec<&str> = all.iter().flat_map(|one| one.names.iter().flatten()).map(|name| plain(name)).collect();
        match near(name, names.iter().copied().filter(|name| !name.contains('/'))) {
            near if !near.is_empty() => error.cause(format!("near names are: {}", near.join(", "))),
            _ if names.is_empty() => error.cause(format!("{} has no containers", self.engine.title())),
            _ => error,
        }
    }

    fn no_such(&self, name: &str) -> Error {
        Error::usage(format!("find container {}:{name}: there is no such container", self.engine))
            .mend(format!("{} ps --all", self.engine))
    }

    fn summaries(&self, stopped_too: bool) -> Result<Vec<Summary>> {
        let path = if stopped_too { "/containers/json?all=true" } else { "/containers/json" };
        let response = self.get(path)?;
        if response.status == 200 { self.decode(path, &response) } else { Err(self.refused(path, &response)) }
    }

    /// Nothing if there is no such container.
    fn details(&self, name: &str) -> Result<Option<Details>> {
        let path = format!("/containers/{name}/json");
        let response = self.get(&path)?;
        match response.status {
            200 => self.decode(&path, &response).map(Some),
            404 => Ok(None),
            _ => Err(self.refused(&path, &response)),
        }
    }

    /// Asks a question whose answer has no end.
    pub(super) fn ask(&self, path: &str) -> Result<UnixStream> {
        let mut stream = socket::connect(self.engine, &self.socket)?;
        let timed = stream.set_write_timeout(Some(LIMITS.time));
        timed
            .and_then(|()| http::ask(&mut stream, &http::Request::get(path)))
            .map_err(|error| self.unanswered(path, &error))?;
        Ok(stream)
    }

    /// Whether it answers at all.
    pub(super) fn answers(&self) -> bool {
        self.get("/_ping").is_ok()
    }

    fn get(&self, path: &str) -> Result<Response> {
        let mut stream = socket::connect(self.engine, &self.socket)?;
        http::get(&mut stream, path, LIMITS).map_err(|error| self.unanswered(path, &error))
    }

    /// The error of a question that got no answer, or only the beginning of one.
    pub(super) fn unanswered(&self, path: &str, error: &io::Error) -> Error {
        let words = match error.kind() {
            io::ErrorKind::TimedOut => format!("no full answer within {} s", LIMITS.time.as_secs()),
            _ => error.to_string(),
        };
        self.error(path).cause(words).mend(self.restart())
    }

    fn decode<T: DeserializeOwned>(&self, path: &str, response: &Response) -> Result<T> {
        serde_json::from_slice(&response.body).map_err(|error| {
            self.error(path).cause(format!("the answer is not what the Engine API says: {error}")).mend(self.restart())
        })
    }

    pub(super) fn refused(&self, path: &str, response: &Response) -> Error {
        let words = match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => refusal.message,
            Err(_) => String::from_utf8_lossy(&response.body).chars().take(200).collect(),
        };
        self.error(path).cause(format!("the engine answers {}: {words}", response.status))
    }

    fn error(&self, path: &str) -> Error {
        Error::failed(format!("ask {} at {} for {path}", self.engine.title(), self.socket.display()))
    }

    fn restart(&self) -> &'static str {
        match self.engine {
            Engine::Docker => "systemctl restart docker",
            Engine::Podman => "systemctl restart podman.socket podman.service",
        }
    }
}

/// What both engines allow in names and ids; nothing of it needs escaping in a path.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
