//! `xdpilot fmt`: policy files in their one form.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy;

use crate::policy::Text;
use crate::trial::{printed, written};

/// Format policy files.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot fmt edge.xdp
  xdpilot fmt --check policies/*.xdp
  xdpilot fmt - < edge.xdp")]
pub struct Args {
    /// Policies, which are rewritten in place; - formats the standard input to the standard output
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; list the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

/// Runs the verb. Files are formatted one by one; those before a faulty one are done.
///
/// # Errors
/// A file is no policy or cannot be written; with `--check`, one would change.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let mut unlike = 0;
    for file in &args.files {
        let piped = file == Path::new("-");
        let text = if piped { standard_input()? } else { Text::of_file(file)? };
        let formatted = policy::format(&text.text).map_err(|problems| text.error(&problems))?;
        let changes = formatted != text.text;
        unlike += usize::from(changes);
        match (args.check, piped) {
            (true, _) if changes => printed(writeln!(out, "{}", file.display()))?,
            (true, _) => {}
            (false, true) => printed(out.write_all(formatted.as_bytes()))?,
            (false, false) if changes => replace(file, &formatted)?,
            (false, false) => {}
        }
    }
    match unlike {
        count if args.check && count > 0 => {
            Err(Error::failed(format!("{count} files are not formatted")).mend("xdpilot fmt FILES"))
        }
        _ => Ok(()),
    }
}

fn standard_input() -> Result<Text> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Error::usage("read the standard input").kernel(error.to_string()))?;
    Ok(Text { text, path: None, name: "-".into() })
}

/// Puts a new file in the place of the old one, at once and with its mode; the file that a symbolic link leads to.
fn replace(file: &Path, text: &str) -> Result<()> {
    let file = written(file, fs::canonicalize(file))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut new = written(&file, tempfile::NamedTempFile::new_in(folder))?;
    written(&file, new.write_all(text.as_bytes()))?;
    let mode = written(&file, fs::metadata(&file))?.permissions();
    written(&file, new.as_file().set_permissions(mode))?;
    written(&file, new.as_file().sync_all())?;
    written(&file, new.persist(&file).map_err(|error| error.error)).map(drop)
}
