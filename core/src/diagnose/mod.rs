//! Errors of the kernel, the verifier and the loaders put into plain words: the cause and the command
//! that mends it.
//!
//! The catalogue is data: one `Row` per error, in one file per section. A text names the row
//! by its distinctive words; the error number decides only where nobody said a word (attaching by
//! `bpf_link` drops the kernel's extack, `net/core/dev.c:bpf_xdp_link_attach`).

mod attach;
mod compile;
mod driver;
mod load;
mod packet_path;
mod row;
#[cfg(test)]
mod tests;
mod verifier;
mod verifier_log;
mod verifier_rules;
mod veth;

pub use row::Facts;
pub use verifier_log::{Source, Telling, telling};

use crate::error::Error;
use row::Row;

/// What was being done when the error came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading a file: ELF object, C source, pin.
    Read,
    /// Compiling C.
    Compile,
    /// Loading an object: maps, BTF, programs, the verifier.
    Load,
    /// Attaching to an interface, or replacing what is attached.
    Attach,
    /// Taking a program off an interface.
    Detach,
    /// Running: packets pass, tracepoints and the kernel log speak.
    Run,
}

/// An error that the catalogue knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// The row's name in the catalogue: section letter and number, `A1`.
    pub id: &'static str,
    /// The likely cause, one or two sentences.
    pub cause: String,
    /// The commands or steps that mend it.
    pub mend: String,
}

/// All rows, most specific section first: an error number with a driver's name is told by the driver's row.
fn catalogue() -> impl Iterator<Item = &'static Row> {
    [
        driver::ROWS,
        veth::ROWS,
        attach::ROWS,
        load::ROWS,
        verifier::ROWS,
        verifier_rules::ROWS,
        packet_path::ROWS,
        compile::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Recognises an error, or answers `None`: an unknown one is better shown as it is than explained wrongly.
///
/// `text` is what the kernel (extack), libbpf or the verifier said, whole or in part, or empty;
/// `errno` is the positive or negative error number.
pub fn diagnose(stage: Stage, errno: Option<i32>, text: &str, facts: &Facts) -> Option<Diagnosis> {
    // Beside a verdict of the verifier the other lines are warnings of libbpf: they explain nothing.
    match telling(text) {
        Some(told) => named(stage, &told.line, facts).map(|row| row.diagnosis(facts)).or_else(|| kernels_own(told)),
        None => named(stage, text, facts)
            .or_else(|| errno.and_then(|errno| by_number(stage, errno.abs(), text, facts)))
            .map(|row| row.diagnosis(facts)),
    }
}

/// Fills the error's cause and mend from the catalogue; what is set already stays.
#[must_use]
pub fn explain(error: Error, stage: Stage, facts: &Facts) -> Error {
    let words = error.kernel_words().unwrap_or_default().to_string();
    explain_by(error, stage, &words, facts)
}

/// Like [`explain`], by a text that says more than the error's own words: the whole log.
#[must_use]
pub fn explain_by(error: Error, stage: Stage, text: &str, facts: &Facts) -> Error {
    let Some(found) = diagnose(stage, error.errno_value(), text, facts) else { return error };
    let error = if error.cause_text().is_none() { error.cause(found.cause) } else { error };
    if error.mend_text().is_none() { error.mend(found.mend) } else { error }
}

/// The first row whose words stand in the text.
fn named(stage: Stage, text: &str, facts: &Facts) -> Option<&'static Row> {
    let text = text.to_ascii_lowercase();
    catalogue().find(|row| row.is_for(stage, facts) && row.is_named_by(&text))
}

/// The first row for this error number, where the text says no more than the number does.
fn by_number(stage: Stage, errno: i32, text: &str, facts: &Facts) -> Option<&'static Row> {
    let number_in_words = std::io::Error::from_raw_os_error(errno).to_string();
    let number_in_words = number_in_words.split(" (os error").next().unwrap_or_default();
    if !text.trim().is_empty() && !text.contains(number_in_words) {
        return None;
    }
    catalogue().find(|row| row.is_for(stage, facts) && row.errno.contains(&errno))
}

/// What a kernel of the structured reports (Linux 7.3 on) says itself, for errors that no row knows.
fn kernels_own(told: Telling) -> Option<Diagnosis> {
    Some(Diagnosis { id: "E0", cause: told.reason?, mend: told.suggestion? })
}
