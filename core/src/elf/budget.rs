//! A bound on what a file makes the reader allocate: a small file must not become a large object.

use crate::error::{Error, Result};

/// Bytes of memory for each byte of the file; real objects need less than one.
const FACTOR: usize = 8;
/// What the smallest file gets.
const BASE: usize = 1 << 16;

/// The memory that is left for what a file describes.
pub(crate) struct Budget(usize);

impl Budget {
    /// The budget of a file of so many bytes.
    pub(crate) fn of_file(len: usize) -> Self {
        Budget(len.saturating_mul(FACTOR).saturating_add(BASE))
    }

    /// Takes the size of something that is about to be made.
    ///
    /// # Errors
    /// The file describes more than it has room for: many things share the same bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            Error::usage("the ELF file is malformed: it describes more than it holds")
                .cause("no compiler makes so many functions, maps or names in so few bytes")
        })?;
        Ok(())
    }
}
