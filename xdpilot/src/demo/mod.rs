//! demo
pub mod dns;
pub mod web;
