//! The agent: keeps what is attached equal to what is stored.

mod announce;
pub(crate) mod api;
mod around;
mod canary;
mod checks;
mod conduct;
mod diff;
mod digest;
mod elements;
mod execute;
mod folder;
mod follow;
mod log;
mod mirror;
pub mod node;
mod notify;
pub mod reconcile;
pub mod report;
mod run;
mod share;
mod silent;
pub mod simulated;
mod standing;
pub mod surroundings;
mod survey;
mod wanted;
mod work;

pub use diff::Step;
pub use run::{Args, run};
