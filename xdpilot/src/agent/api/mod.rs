//! The agent's API: HTTP and JSON over a Unix socket that is root's, and on request over TCP with TLS and tokens.
//!
//! Only this room and the store on etcd are asynchronous; whatever waits for a disk, a store or the kernel runs on
//! threads of its own.

mod answer;
mod body;
mod caller;
mod counters;
mod documents;
mod events;
pub(crate) mod forms;
mod health;
mod listen;
mod metrics;
mod nodes;
mod openapi;
mod process;
mod rollouts;
mod router;
mod serve;
mod shared;
mod tls;
mod tokens;

pub(in crate::agent) use listen::Listen;
pub(in crate::agent) use serve::Server;
pub(in crate::agent) use shared::Shared;

/// The header field in which a command of root's says for whom it works. It counts on the Unix socket only.
pub(crate) const USER: &str = "xdpilot-user";
