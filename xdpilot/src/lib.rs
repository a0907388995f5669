//! The tool: one verb a module.
#![forbid(unsafe_code)]

pub mod demo;
