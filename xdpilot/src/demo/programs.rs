//! The example programs, carried along: the demo needs no compiler.

use std::fs;
use std::io;
use std::path::Path;

/// A built example.
pub(super) struct Program {
    /// Its file's name.
    pub(super) file: &'static str,
    /// The ELF object.
    object: &'static [u8],
}

/// Drops everything; `main` in `.text`.
pub(super) const DROPPER: Program =
    Program { file: "dropper.o", object: include_bytes!("../../../examples/dropper.o") };
/// Drops UDP.
pub(super) const UDP: Program = Program { file: "udp.o", object: include_bytes!("../../../examples/udp.o") };
/// Sends UDP and pings back by XDP_TX.
pub(super) const BOUNCE: Program = Program { file: "bounce.o", object: include_bytes!("../../../examples/bounce.o") };

/// Writes all of them into this directory.
///
/// Errors: a file cannot be written.
pub(super) fn write_into(directory: &Path) -> io::Result<()> {
    [DROPPER, UDP, BOUNCE].iter().try_for_each(|program| fs::write(directory.join(program.file), program.object))
}
