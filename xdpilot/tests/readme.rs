//! What the README tells to type exists, and each verb's help shows how it is used.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What `xdpilot` prints for these words.
fn said(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_xdpilot")).args(words).output().unwrap();
    assert!(output.status.success(), "xdpilot {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs that `xdpilot --help` lists.
fn verbs() -> Vec<String> {
    let help = said(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let first = |line: &str| line.split_whitespace().next().map(str::to_owned);
    list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   ")).filter_map(first).collect()
}

/// The commands of the README: its indented lines, without what follows a `#`.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let indented = readme.lines().filter_map(|line| line.strip_prefix("    "));
    indented.map(|line| line.split('#').next().unwrap_or_default().trim().to_owned()).collect()
}

#[test]
fn every_verb_shows_an_example() {
    let verbs = verbs();
    assert!(verbs.len() > 3, "{verbs:?}");
    for verb in verbs.iter().filter(|verb| *verb != "help") {
        let help = said(&[verb.as_str(), "--help"]);
        let examples = help.split("Examples:\n").nth(1).unwrap_or_else(|| panic!("{verb} has no examples"));
        assert!(examples.contains(&format!("  xdpilot {verb}")), "{verb}: {examples}");
    }
}

#[test]
fn the_readme_uses_targets_that_the_makefile_has() {
    let commands = commands();
    for needed in ["make demo", "make test", "make static"] {
        assert!(commands.iter().any(|command| command == needed), "the README does not say {needed}");
    }
    for command in commands.iter().filter(|command| command.starts_with("make ")) {
        let target = command.trim_start_matches("make ");
        let output = Command::new("make").args(["--dry-run", target]).current_dir(workspace()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_readme_uses_verbs_that_exist() {
    let verbs = verbs();
    for command in commands() {
        let words = command.trim_start_matches("sudo ").strip_prefix("xdpilot ");
        if let Some(verb) = words.and_then(|words| words.split_whitespace().next()) {
            assert!(verbs.iter().any(|known| known == verb), "{command}: there is no verb {verb}");
        }
    }
}

#[test]
fn files_that_the_documents_point_to_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "docs/README.md"] {
        let path = workspace().join(document);
        let text = fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let there = link.contains("://") || path.parent().unwrap().join(file).exists();
            assert!(there, "{document} points to {link}");
        }
    }
}
