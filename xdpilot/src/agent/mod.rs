//! The agent: keeps what is attached equal to what is stored.

pub mod surroundings;
