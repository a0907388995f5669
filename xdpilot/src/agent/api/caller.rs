//! Who asks, and what that one may do.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use xdpilot_core::error::{Error, Kind};

use super::USER;
use super::answer::Refusal;
use super::serve::{Api, Gate};

/// What a request needs, and a token gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// To look.
    Read,
    /// To change documents, too.
    Write,
}

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    /// The user at the other end of the Unix socket; none of a connection over TCP, which needs a token.
    pub(super) user: Option<String>,
    /// What those who come this way share.
    pub(super) gate: Arc<Gate>,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: String,
    right: Right,
}

/// Lets in who may come in; everybody else learns nothing.
pub(super) async fn identify(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let caller = request.extensions().get::<Peer>().and_then(|peer| match &peer.user {
        Some(user) => Some(Caller { name: on_behalf(request.headers(), user), right: Right::Write }),
        None => by_token(&api, request.headers()),
    });
    let Some(caller) = caller else {
        let headers = [(header::WWW_AUTHENTICATE, "Bearer"), (header::CONNECTION, "close")];
        return (StatusCode::UNAUTHORIZED, headers).into_response();
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets pass who has the right.
pub(super) async fn check(right: Right, request: Request, next: Next) -> Response {
    match request.extensions().get::<Caller>() {
        Some(caller) if caller.right >= right => next.run(request).await,
        caller => {
            let name = caller.map_or("nobody", |caller| &caller.name);
            let error = Error::new(Kind::NotPermitted, format!("{} {}", request.method(), request.uri().path()))
                .cause(format!("the token {name} may read only"))
                .mend("use a token of a line `write …` in the agent's file of tokens");
            Refusal::new(StatusCode::FORBIDDEN, error).into_response()
        }
    }
}

fn by_token(api: &Api, headers: &HeaderMap) -> Option<Caller> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let (name, right) = api.tokens.as_ref()?.find(token.trim())?;
    Some(Caller { name: name.to_string(), right })
}

/// For whom root works, where it says so.
fn on_behalf(headers: &HeaderMap, user: &str) -> String {
    let said = headers.get(USER).and_then(|value| value.to_str().ok());
    let is_name = |name: &&str| {
        (1..=64).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
    };
    said.filter(is_name).unwrap_or(user).to_string()
}
