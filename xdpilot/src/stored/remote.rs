//! The agent of this machine, asked over its socket.

use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use xdpilot_core::error::{Error, Kind, Result};

use super::access;
use crate::agent::api::USER;
use crate::agent::api::forms::{
    Documents, EditForm, Edits, ErrorForm, Nodes, OutcomeForm, RolloutForm, Rollouts, Staging, Status, StepForm, Steps,
    Versions,
};
use crate::documents::change::{Edit, Outcome, conflict};
use crate::documents::{Name, Shown};
use crate::engine::http::{self, Limits, Request, Response};

/// The agent gives up after a minute; a set of millions of elements is some 100 MB.
const LIMITS: Limits = Limits { time: Duration::from_secs(90), bytes: 512 << 20 };

/// An agent.
#[derive(Debug)]
pub(super) struct Remote {
    socket: PathBuf,
}

impl Remote {
    /// The agent that listens on a socket; none where nobody does.
    ///
    /// # Errors
    /// This user may not ask it.
    pub(super) fn find(socket: &Path) -> Result<Option<Self>> {
        match UnixStream::connect(socket) {
            Ok(_) => Ok(Some(Remote { socket: socket.to_owned() })),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(access::denied(socket, &error)),
            Err(_) => Ok(None),
        }
    }

    /// The store that it follows, as it is named behind `--store`.
    pub(super) fn store(&self) -> Result<String> {
        Ok(self.get::<Status>("/v1/status")?.store)
    }

    pub(super) fn list(&self) -> Result<Vec<Shown>> {
        Ok(self.get::<Documents>("/v1/documents")?.documents)
    }

    pub(super) fn text(&self, name: &Name) -> Result<Option<Shown>> {
        let response = self.ask("GET", &document(name), None, "")?;
        if response.status == 404 { Ok(None) } else { self.decode(&response).map(Some) }
    }

    pub(super) fn versions(&self, name: &Name) -> Result<Vec<Shown>> {
        let response = self.ask("GET", &format!("/v1/history/{}/{}", name.kind, name.name), None, "")?;
        if response.status == 404 { Ok(Vec::new()) } else { Ok(self.decode::<Versions>(&response)?.versions) }
    }

    pub(super) fn version(&self, name: &Name, version: u64) -> Result<Shown> {
        self.get(&format!("{}?version={version}", document(name)))
    }

    pub(super) fn commit(&self, edits: &[Edit], by: &str) -> Result<Outcome> {
        let answer: OutcomeForm = self.post("/v1/commit", &forms(edits), by)?;
        answer.outcome()
    }

    pub(super) fn plan(&self, edits: &[Edit]) -> Result<Vec<StepForm>> {
        Ok(self.post::<Steps>("/v1/diff", &forms(edits), "")?.steps)
    }

    pub(super) fn stage(&self, edits: &[Edit], share: u8, bake: Duration, by: &str) -> Result<RolloutForm> {
        let Edits { edits } = forms(edits);
        let staging = Staging { edits, share, bake_seconds: bake.as_secs() };
        let answer: Rollouts = self.post("/v1/rollout", &staging, by)?;
        answer.rollout.ok_or_else(|| self.error().cause("it tells of no rollout"))
    }

    /// The rollout; `DELETE` halts it.
    pub(super) fn rollout(&self, method: &str, by: &str) -> Result<Option<RolloutForm>> {
        Ok(self.decode::<Rollouts>(&self.ask(method, "/v1/rollout", None, by)?)?.rollout)
    }

    pub(super) fn nodes(&self) -> Result<Nodes> {
        self.get("/v1/nodes")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.decode(&self.ask("GET", path, None, "")?)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize, by: &str) -> Result<T> {
        let body = serde_json::to_vec(body).map_err(|error| self.error().cause(error.to_string()))?;
        self.decode(&self.ask("POST", path, Some(&body), by)?)
    }

    fn ask(&self, method: &str, path: &str, body: Option<&[u8]>, by: &str) -> Result<Response> {
        let mut stream = UnixStream::connect(&self.socket).map_err(|error| self.failed(&error))?;
        let json = [("Content-Type", "application/json"), (USER, by)];
        let headers = if body.is_some() { &json[..] } else { &json[1..] };
        let request = Request { method, path, headers, body: body.unwrap_or_default() };
        http::send(&mut stream, &request, LIMITS).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Error {
        if error.kind() == ErrorKind::PermissionDenied {
            return access::denied(&self.socket, error);
        }
        let words = match error.kind() {
            ErrorKind::TimedOut => format!("no full answer within {} s", LIMITS.time.as_secs()),
            _ => error.to_string(),
        };
        self.error().kernel(words).mend("journalctl -u xdpilot-agent")
    }

    fn decode<T: DeserializeOwned>(&self, response: &Response) -> Result<T> {
        if response.status == 200 {
            return serde_json::from_slice(&response.body)
                .map_err(|error| self.error().cause(format!("it answers as another version does: {error}")));
        }
        let Ok(told) = serde_json::from_slice::<ErrorForm>(&response.body) else {
            return Err(self.error().cause(format!("it answers {}", response.status)));
        };
        let error = told.error();
        Err(match response.status {
            400 | 404 | 413 => error.of_kind(Kind::Usage),
            403 => error.of_kind(Kind::NotPermitted),
            409 => error.of_kind(Kind::Refused),
            412 => conflict(error),
            _ => error,
        })
    }

    fn error(&self) -> Error {
        Error::failed(format!("ask the agent at {}", self.socket.display()))
    }
}

fn document(name: &Name) -> String {
    format!("/v1/documents/{}/{}", name.kind, name.name)
}

fn forms(edits: &[Edit]) -> Edits {
    Edits { edits: edits.iter().map(EditForm::of).collect() }
}
