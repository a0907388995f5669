//! Which of several chains is imported.

use crate::error::{Error, Result};

/// The one chain that was found: that is `asked` for, or else that sees packets that arrive. `all` there are, by their
/// paths, which have this `form`.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn only<T: Copy>(
    found: &[T],
    asked: Option<&str>,
    all: &[T],
    (form, path): (&str, impl Fn(&T) -> String),
) -> Result<T> {
    let (why, which) = match (found, asked) {
        ([one], _) => return Ok(*one),
        ([], None) => ("no chain that sees packets that arrive has rules; there are", all),
        ([], Some(_)) => ("there is none; there are", all),
        ([..], None) => ("several see packets that arrive", found),
        ([..], Some(_)) => ("several are meant", found),
    };
    let error = Error::usage(format!("import {}", asked.map_or("a chain".into(), |name| format!("chain {name}"))));
    if which.is_empty() {
        return Err(error.cause(format!("{why} none")));
    }
    let names = which.iter().map(path).collect::<Vec<_>>().join(", ");
    Err(error.cause(format!("{why}: {names}")).mend(format!("xdpilot import --chain {form} FILE")))
}
