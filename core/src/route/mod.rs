//! Routing to the backends of pools: what the evaluator, the generated program and whoever fills its maps have in common.
//!
//! A new connection gets the backend that stands at its place in the pool's [`ring`]; the table of [`flows`] remembers
//! it, so that it stays there when the ring changes.

pub mod flows;
pub mod hash;
pub mod layout;
pub mod replies;
pub mod ring;
mod state;

pub use layout::{Backend, Hop, Member, flags};
pub use state::{Ring, State, member, ring_of, rings, sessions, translates};
