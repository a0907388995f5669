//! The folder of what a node keeps: one agent has it.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use xdpilot_core::error::{Error, Result};

/// The folder, as long as this value lives.
#[derive(Debug)]
pub(super) struct Folder {
    _lock: Flock<File>,
}

impl Folder {
    /// Takes the folder, and makes it where it is not there yet.
    ///
    /// # Errors
    /// Another agent has it, or the system refuses.
    pub(super) fn take(path: &Path) -> Result<Self> {
        let failed =
            |what: &str, words: String| Error::failed(format!("{what} folder {}", path.display())).kernel(words);
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|error| failed("make", error.to_string()))?;
        }
        let folder = File::open(path).map_err(|error| failed("open", error.to_string()))?;
        match Flock::lock(folder, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Folder { _lock: lock }),
            Err((_, Errno::EWOULDBLOCK)) => Err(Error::failed("begin an agent")
                .cause(format!("another agent has the folder {}", path.display()))
                .mend("end that one, or give this one a folder and a node name of its own: --state DIR --node NAME")),
            Err((_, errno)) => Err(failed("lock", errno.desc().to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_agent_has_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = Folder::take(&path).unwrap();
        assert!(Folder::take(&path).unwrap_err().to_string().contains("another agent"));
        drop(first);
        Folder::take(&path).unwrap();
    }
}
