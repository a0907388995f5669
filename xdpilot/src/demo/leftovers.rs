//! What a demo makes carries its process id in the name, so that it can be found and removed: at the
//! end, on a panic, and by the next demo after one that was killed.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::netns_directory;

use super::stage::INTERFACE;
use super::tool;

/// What every name begins with; the process id follows.
const PREFIX: &str = "xdpilot-demo-";
/// Only root writes here, so nobody can put something else under a name that can be guessed.
const RUN: &str = "/run";

/// The name of what there is one of in the demo with this process id.
pub(super) fn name(pid: u32) -> String {
    format!("{PREFIX}{pid}")
}

/// The name of a namespace of the demo with this process id.
pub(super) fn namespace(pid: u32, role: &str) -> String {
    format!("{}-{role}", name(pid))
}

/// The directory with the programs of the demo with this process id.
pub(super) fn directory(pid: u32) -> PathBuf {
    PathBuf::from(RUN).join(name(pid))
}

/// Removes all that the demo with this process id made and did not remove.
///
/// Errors: something is there that cannot be removed; the rest was still tried.
pub(super) fn remove(pid: u32) -> Result<()> {
    let mut result = Ok(());
    for name in netns_directory::names().iter().filter(|name| owner(name) == Some(pid)) {
        // A program's pin outlives its interface, so it is taken off first. Most often nothing is there.
        let _ = tool::run_undisturbed(&["unload", "--on", &format!("netns:{name}/{INTERFACE}")]);
        // Another demo may be cleaning up after the same dead one: gone is gone.
        let deleted = netns_directory::delete(name);
        if netns_directory::names().contains(name) {
            result = result.and(deleted);
        }
    }
    let directory = directory(pid);
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            result.and(Err(Error::failed(format!("remove {}", directory.display())).kernel(error.to_string())))
        }
        _ => result,
    }
}

/// Removes what demos left that are not running any more.
///
/// Errors: as those of [`remove`].
pub(super) fn remove_of_the_dead() -> Result<()> {
    let directories = fs::read_dir(RUN).into_iter().flatten().flatten();
    let names = directories.filter_map(|entry| entry.file_name().into_string().ok()).chain(netns_directory::names());
    dead(names).into_iter().try_for_each(remove)
}

/// The demos that these names belong to and that are not running any more.
pub(super) fn dead(names: impl IntoIterator<Item = String>) -> BTreeSet<u32> {
    names.into_iter().filter_map(|name| owner(&name)).filter(|pid| !lives(*pid)).collect()
}

/// The process id in a name, when it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

/// Whether this process is a demo that runs. Ids are used again, so its words must be a demo's.
fn lives(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"demo")
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_tell_their_owner() {
        assert_eq!(owner(&namespace(4711, "web")), Some(4711));
        assert_eq!(owner(&directory(4711).file_name().unwrap().to_string_lossy()), Some(4711));
        for other in ["xdpilot-demo-", "xdpilot-demo-x-web", "demo-4711", "xdpilot-demo--1"] {
            assert_eq!(owner(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_demo_lives() {
        // Its words are in /proc only once it runs, a moment after it was spawned.
        let spawn = |words: &[&str]| {
            let mut child =
                Command::new("sh").args(words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut ready = [0];
            child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
            child
        };
        let script = "echo; read line";
        let (mut demo, mut other) = (spawn(&["-c", script, "demo"]), spawn(&["-c", script]));
        assert!(lives(demo.id()));
        assert!(!lives(other.id()));
        for child in [&mut demo, &mut other] {
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(!lives(child.id()));
        }
    }
}
