//! `xdpilot edit`: a document in an editor.

use std::io::Write;
use std::process::Command;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use super::access::Access;
use super::config::StoreArgs;
use super::{Named, apply};
use crate::documents::change::{Content, Edit};

/// Change a document in an editor: $VISUAL, $EDITOR, or vi.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot edit policy edge
  EDITOR=nano xdpilot edit set blocked")]
pub struct Args {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the verb.
///
/// # Errors
/// There is no such document; the new text is faulty, and is kept in a file; somebody else changed it meanwhile.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let name = args.named.name()?;
    let access = Access::open(args.store.config()?)?;
    let Some(shown) = access.text(&name)? else {
        return Err(Error::usage(format!("the store has no {name}")).mend("xdpilot get"));
    };
    let text = shown.text.unwrap_or_default();
    let failed = |error: std::io::Error| Error::failed(format!("edit {name}")).kernel(error.to_string());
    let mut file = tempfile::Builder::new().prefix("xdpilot-").suffix(".xdp").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
    open_editor(file.path())?;
    let edited = std::fs::read_to_string(file.path()).map_err(failed)?;
    if edited == text {
        return super::print(out, &format!("{name}: unchanged\n"));
    }
    let content = Content::of_text(&name, edited)?;
    let edit = Edit { name: name.clone(), content: Some(content), version: shown.version };
    match access.commit(&[edit]) {
        Ok(outcome) => apply::finish(&access, outcome, false, out).map(drop),
        Err(error) => {
            let kept = file.keep().map(|(_, path)| path.display().to_string()).unwrap_or_default();
            Err(error.mend(format!("mend {kept}, which has your text, and `xdpilot apply -f {kept}`")))
        }
    }
}

fn open_editor(path: &std::path::Path) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let editor = variable("VISUAL").or_else(|| variable("EDITOR")).unwrap_or_else(|| "vi".to_string());
    // An editor may have options: `code --wait`.
    let status = Command::new("/bin/sh").args(["-c", &format!("{editor} \"$1\""), "sh"]).arg(path).status();
    let status = status.map_err(|error| Error::failed(format!("run {editor}")).kernel(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::failed(format!("run {editor}")).cause(format!("it ended with {status}")).mend("export EDITOR=nano"))
}
