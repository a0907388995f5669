//! The rules of the workspace that no compiler checks: which crate knows which, where `unsafe` is, what `core` is
//! built of.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Each crate: its package, its folder, and the packages of this workspace that it may know.
const CRATES: [(&str, &str, &[&str]); 3] = [
    ("xdpilot-core", "core", &[]),
    ("xdpilot-kernel", "kernel", &["xdpilot-core"]),
    ("xdpilot", "xdpilot", &["xdpilot-core", "xdpilot-kernel"]),
];
/// What the pure crate does without: command lines, async, the system.
const NOT_IN_CORE: [&str; 7] = ["clap", "tokio", "mio", "libc", "nix", "libbpf-sys", "netlink-sys"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn metadata() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version=1", "--locked", "--offline"]).current_dir(workspace());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// A file without its comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = CRATES.iter().map(|(name, _, _)| *name).collect();
    let members = metadata["workspace_members"].as_array().unwrap();
    assert_eq!(members.len(), ours.len(), "a crate that this test does not know: {members:?}");
    for (name, _, allowed) in CRATES {
        let package = packages.iter().find(|package| package["name"] == name).unwrap();
        // Those of tests and build scripts too.
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            assert!(!ours.contains(other) || allowed.contains(&other), "{name} depends on {other}");
        }
    }
}

#[test]
fn sources_name_only_the_crates_below() {
    for (name, folder, allowed) in CRATES {
        for file in sources(&workspace().join(folder)) {
            let code = code(&file);
            for (other, _, _) in CRATES.iter().filter(|(other, _, _)| *other != name && !allowed.contains(other)) {
                let path = format!("{}::", other.replace('-', "_"));
                let named = code.match_indices(&path).any(|(at, _)| {
                    !code[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
                });
                assert!(!named, "{} uses {other}", file.display());
            }
        }
    }
}

#[test]
fn only_the_kernel_crate_has_unsafe_code() {
    for root in ["core/src/lib.rs", "xdpilot/src/lib.rs", "xdpilot/src/main.rs"] {
        let text = fs::read_to_string(workspace().join(root)).unwrap();
        assert!(text.contains("#![forbid(unsafe_code)]"), "{root} does not forbid unsafe code");
    }
    for folder in ["core", "xdpilot"] {
        for file in sources(&workspace().join(folder)).iter().filter(|file| !file.ends_with("architecture.rs")) {
            let unsafe_words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"];
            let code = code(file);
            assert!(!unsafe_words.iter().any(|word| code.contains(word)), "{} has unsafe code", file.display());
        }
    }
}

#[test]
fn the_pure_crate_is_built_of_pure_crates() {
    let metadata = metadata();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let names: BTreeMap<String, String> = list(&metadata["packages"])
        .iter()
        .map(|package| (package["id"].to_string(), package["name"].as_str().unwrap().to_owned()))
        .collect();
    let nodes: BTreeMap<String, Value> =
        list(&metadata["resolve"]["nodes"]).into_iter().map(|node| (node["id"].to_string(), node)).collect();
    let core = names.iter().find(|(_, name)| *name == "xdpilot-core").unwrap().0.clone();
    let (mut found, mut open) = (BTreeSet::new(), vec![core]);
    while let Some(id) = open.pop() {
        for dependency in list(&nodes[&id]["deps"]) {
            // A kind of null is what is linked in; tests and build scripts have others.
            let linked = list(&dependency["dep_kinds"]).iter().any(|kind| kind["kind"].is_null());
            let id = dependency["pkg"].to_string();
            if linked && found.insert(names[&id].clone()) {
                open.push(id);
            }
        }
    }
    assert!(!found.is_empty());
    for name in NOT_IN_CORE {
        assert!(!found.contains(name), "core is built of {name}");
    }
}
