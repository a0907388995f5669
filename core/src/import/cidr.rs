//! Lists of prefixes: an address, a prefix or a range a line; `#` and `;` begin comments. One set, and one rule.

use super::draft::Draft;
use super::{Format, Imported, Request, lines, ranges};
use crate::error::Result;

/// Makes a policy of a list.
pub(super) fn import(text: &str, request: &Request<'_>) -> Result<Imported> {
    let (mut draft, mut elements) = (Draft::default(), Vec::new());
    for (number, line) in lines(text) {
        let said = line.split(['#', ';']).next().unwrap_or_default().trim().trim_end_matches(',');
        if said.is_empty() {
            continue;
        }
        match ranges::addresses(said) {
            Some(found) => elements.extend(found),
            None => draft.leave_out(Some(number), line, "this is no address, prefix or range of addresses"),
        }
    }
    let set = draft.set(request.name, &elements);
    draft.rule(&request.verdict.to_string(), &format!("src in {set}"), None);
    draft.finish(Format::Cidr)
}
