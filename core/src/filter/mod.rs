//! Filter expressions: what stands after `when`.

pub mod ast;
mod lower;
pub mod names;
mod parse;
mod print;
mod scan;
mod words;

pub use lower::{Context, Resolve, lower};
pub(crate) use parse::element;
pub use parse::parse;

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Its test; none in an empty expression, which every packet matches.
    pub root: Option<ast::Expr>,
}
