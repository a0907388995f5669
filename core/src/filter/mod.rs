//! Filter expressions: what stands after `when`. (A stand-in until the parser of filters is merged.)
#![allow(missing_docs, reason = "replaced by the merge")]

use crate::cond::Cond;
use crate::problem::{Problem, Span};

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(String);

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

pub fn parse(text: &str, span: Span) -> Result<Filter, Problem> {
    let inner = text.get(span.clone()).unwrap_or_default();
    Ok(Filter(crate::policy::scan::spaced(inner, &mut 0)))
}

pub fn lower(_: &Filter) -> Result<Cond, Problem> {
    Ok(Cond::Always(true))
}

pub mod names {
    pub struct Service {
        pub port: u16,
    }
    pub fn service(name: &str) -> Option<Service> {
        [("http", 80), ("https", 443), ("domain", 53)].iter().find(|x| x.0 == name).map(|x| Service { port: x.1 })
    }
    pub fn protocol(name: &str) -> Option<u8> {
        (name == "ospf").then_some(89)
    }
    pub fn services() -> impl Iterator<Item = &'static str> {
        ["http", "https", "domain"].into_iter()
    }
}
