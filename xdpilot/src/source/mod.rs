//! Sources of programs.
use std::path::{Path, PathBuf};
use xdpilot_core::error::{Error, Result};

/// An object to load.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, for messages.
    pub name: String,
    /// Its bytes.
    pub elf: Vec<u8>,
    /// Where it is.
    pub path: PathBuf,
}

/// Reads a source.
pub fn read(path: &Path) -> Result<Source> {
    let elf =
        std::fs::read(path).map_err(|e| Error::usage(format!("read {}", path.display())).kernel(e.to_string()))?;
    Ok(Source {
        name: path.display().to_string(),
        elf,
        path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    })
}
