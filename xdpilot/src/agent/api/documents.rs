//! Documents of the store: read and changed.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use xdpilot_core::error::{Error, Result};

use super::answer::{Answer, Refusal, json, tagged};
use super::body;
use super::caller::{Caller, Peer};
use super::forms::{Documents, Edits, OutcomeForm, StepForm, Steps, VERSION, Versions};
use super::serve::Api;
use crate::documents::change::{self, Edit};
use crate::documents::{Kind, Name};
use crate::stored::direct;

/// The path's two last parts.
type Named = std::result::Result<Path<(String, String)>, PathRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Version {
    version: Option<u64>,
}

/// What stands behind the question mark.
pub(super) fn said<T>(query: std::result::Result<Query<T>, QueryRejection>) -> Result<T> {
    let wrong = |error: QueryRejection| Error::usage("read the query").cause(error.body_text());
    query.map(|Query(query)| query).map_err(wrong)
}

fn name(named: Named) -> Result<Name> {
    let wrong = |error: PathRejection| Error::usage("read the path").cause(error.body_text());
    let Path((kind, name)) = named.map_err(wrong)?;
    Name::checked(kind.parse()?, &name)
}

fn no_such(name: &Name) -> Refusal {
    let error = Error::usage(format!("the store has no {name}")).mend("GET /v1/documents lists what it has");
    Refusal::new(StatusCode::NOT_FOUND, error)
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    query: std::result::Result<Query<Which>, QueryRejection>,
) -> Answer {
    let kind = said(query)?.kind.map(|kind| kind.parse::<Kind>()).transpose()?;
    let mut documents = api.with_store(direct::list).await?;
    documents.retain(|one| kind.is_none_or(|kind| one.name.kind == kind));
    Ok(json(&Documents { version: VERSION, documents }))
}

pub(super) async fn one(
    State(api): State<Arc<Api>>,
    named: Named,
    query: std::result::Result<Query<Version>, QueryRejection>,
    headers: HeaderMap,
) -> Answer {
    let (name, version) = (name(named)?, said(query)?.version);
    let wanted = name.clone();
    let found = match version {
        Some(version) => {
            let found = api.with_store(move |store| direct::version(store, &wanted, version)).await;
            Some(found.map_err(Refusal::or_not_found)?)
        }
        None => api.with_store(move |store| direct::text(store, &wanted)).await?,
    };
    let shown = found.ok_or_else(|| no_such(&name))?;
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.starts_with("text/plain") {
        let tag = shown.version.map(|version| [(header::ETAG, format!("\"{version}\""))]);
        return Ok((tag, shown.text.unwrap_or_default()).into_response());
    }
    Ok(tagged(shown.version, &shown))
}

pub(super) async fn history(State(api): State<Arc<Api>>, named: Named) -> Answer {
    let name = name(named)?;
    let wanted = name.clone();
    let versions = api.with_store(move |store| direct::versions(store, &wanted)).await?;
    if versions.is_empty() {
        return Err(no_such(&name));
    }
    Ok(json(&Versions { version: VERSION, versions }))
}

pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(peer): Extension<Peer>,
    named: Named,
    headers: HeaderMap,
    content: Body,
) -> Answer {
    let (name, version) = (name(named)?, body::expected(&headers)?);
    let _gate = peer.gate.bodies.acquire().await;
    let bytes = body::bytes(content).await?;
    let edit = body::edit(name, version, &headers, bytes)?;
    store(&api, vec![edit], caller).await
}

pub(super) async fn delete(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    named: Named,
    headers: HeaderMap,
) -> Answer {
    let (name, version) = (name(named)?, body::expected(&headers)?);
    let wanted = name.clone();
    if api.with_store(move |store| store.get(&wanted.key())).await?.is_none() {
        return Err(no_such(&name));
    }
    store(&api, vec![Edit { name, content: None, version }], caller).await
}

pub(super) async fn commit(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Extension(peer): Extension<Peer>,
    content: Body,
) -> Answer {
    let _gate = peer.gate.bodies.acquire().await;
    let edits = edits(read(&body::bytes(content).await?)?)?;
    store(&api, edits, caller).await
}

pub(super) async fn diff(State(api): State<Arc<Api>>, Extension(peer): Extension<Peer>, content: Body) -> Answer {
    let _gate = peer.gate.bodies.acquire().await;
    let edits = edits(read(&body::bytes(content).await?)?)?;
    let node = api.shared.node.clone();
    let planned = api.with_store(move |store| direct::plan(store, &node, &edits)).await?;
    Ok(json(&Steps { version: VERSION, steps: planned.into_iter().map(StepForm::of).collect() }))
}

/// The edits in a body; none in an empty one.
fn read(bytes: &[u8]) -> std::result::Result<Edits, Refusal> {
    if bytes.is_empty() { Ok(Edits::default()) } else { body::parse(bytes) }
}

/// The edits that forms say.
pub(super) fn edits(all: Edits) -> std::result::Result<Vec<Edit>, Refusal> {
    let mut edits: Vec<Edit> = Vec::new();
    for form in all.edits {
        let edit = form.edit(None)?;
        if edits.iter().any(|other| other.name == edit.name) {
            return Err(Error::usage(format!("two edits of {}", edit.name)).into());
        }
        edits.push(edit);
    }
    Ok(edits)
}

async fn store(api: &Api, edits: Vec<Edit>, caller: Caller) -> Answer {
    let outcome = api.with_store(move |store| change::commit(store, &edits, &caller.name)).await?;
    let version = match outcome.written.as_slice() {
        [(_, version)] => Some(*version),
        _ => None,
    };
    Ok(tagged(version, &OutcomeForm::of(&outcome)))
}
