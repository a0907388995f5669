//! The installed clang.

use std::env;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use xdpilot_core::error::{Error, Result};

use super::packages::{self, Package};

/// Releases that are looked for by name: from the first whose BTF is sound to some that are still to come.
const RELEASES: std::ops::RangeInclusive<u32> = 11..=40;

/// The newest clang in the folders of `path`, a list as in the variable PATH.
///
/// # Errors
/// There is none.
pub(super) fn find(path: &OsStr) -> Result<PathBuf> {
    let plain = program(path, "clang");
    let numbered = RELEASES.rev().find_map(|release| Some((release, program(path, &format!("clang-{release}"))?)));
    match (plain, numbered) {
        (Some(plain), None) => Ok(plain),
        (None, Some((_, numbered))) => Ok(numbered),
        (Some(plain), Some((release, numbered))) => {
            Ok(if release_of(&plain).is_some_and(|own| own >= release) { plain } else { numbered })
        }
        (None, None) => Err(Error::failed("find clang")
            .cause("C files are compiled by clang, and none is in PATH")
            .mend(packages::install(Package::Clang))),
    }
}

fn program(path: &OsStr, name: &str) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(name)).find(|file| {
        file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
    })
}

fn release_of(clang: &PathBuf) -> Option<u32> {
    let said = Command::new(clang).arg("-dumpversion").output().ok()?;
    String::from_utf8_lossy(&said.stdout).split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn fake(folder: &std::path::Path, name: &str, release: &str) {
        let file = folder.join(name);
        fs::write(&file, format!("#!/bin/sh\necho {release}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn takes_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let find = || find(folder.path().as_os_str());
        let missing = find().unwrap_err();
        assert_eq!(missing.kind(), xdpilot_core::error::Kind::Failed);
        assert!(missing.mend_text().unwrap().ends_with(" clang"), "{missing}");
        // Not a program: nobody may execute it.
        fs::write(folder.path().join("clang-20"), "").unwrap();
        assert!(find().is_err());
        fake(folder.path(), "clang-13", "13.0.1");
        fake(folder.path(), "clang-19", "19.1.7");
        assert_eq!(find().unwrap(), folder.path().join("clang-19"));
        fake(folder.path(), "clang", "14.0.6");
        assert_eq!(find().unwrap(), folder.path().join("clang-19"));
        fake(folder.path(), "clang", "21.1.0");
        assert_eq!(find().unwrap(), folder.path().join("clang"));
    }
}
