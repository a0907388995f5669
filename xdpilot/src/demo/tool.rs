//! xdpilot, run as a user runs it.

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use xdpilot_core::error::{Error, Kind, Result};

/// Runs `xdpilot` with these words in a directory, and returns what it wrote.
///
/// Errors: it cannot be started, or failed: then its own words, and the kind that its exit code stands for.
pub(super) fn run(words: &[String], directory: &Path) -> Result<String> {
    let what = || format!("xdpilot {}", words.join(" "));
    let output = command(words)
        .and_then(|mut command| command.current_dir(directory).output())
        .map_err(|error| Error::failed(format!("run {}", what())).kernel(error.to_string()))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    let kind = match output.status.code() {
        Some(2) => Kind::Usage,
        Some(3) => Kind::Refused,
        Some(4) => Kind::NotPermitted,
        _ => Kind::Failed,
    };
    Err(Error::new(kind, format!("{}: {}\n{}", what(), output.status, said(&output.stderr).trim_end())))
}

/// Runs `xdpilot` with these words where a Ctrl-C on the terminal does not reach it.
///
/// Errors: it cannot be started.
pub(super) fn run_undisturbed(words: &[&str]) -> io::Result<Output> {
    command(words)?.process_group(0).output()
}

/// The command `xdpilot` with these words, without input.
///
/// Errors: this program's own file is not found.
pub(super) fn command(words: &[impl AsRef<OsStr>]) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(words).stdin(Stdio::null());
    Ok(command)
}
