//! The agent: keeps what is attached equal to what is stored.

mod diff;
mod digest;
mod elements;
mod execute;
pub mod node;
pub mod reconcile;
pub mod report;
mod standing;
mod survey;
mod wanted;

pub use diff::Step;
