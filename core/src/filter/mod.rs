//! Filter expressions: what stands after `when`.

/// A filter expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter;
