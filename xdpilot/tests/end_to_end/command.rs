//! Running the built command, and the tools that judge what it did.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

pub(crate) const XDPILOT: &str = env!("CARGO_BIN_EXE_xdpilot");

/// What a run of the command gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// Runs the command with these words.
pub(crate) fn xdpilot(words: &[&str]) -> Ran {
    Command::new(XDPILOT).args(words).output().unwrap().into()
}

/// Runs the command, which must end with this code.
#[track_caller]
pub(crate) fn ends(code: i32, words: &[&str]) -> Ran {
    let ran = xdpilot(words);
    assert_eq!(ran.code, Some(code), "{words:?}: {ran:#?}");
    ran
}

/// Runs the command, which must end well.
#[track_caller]
pub(crate) fn done(words: &[&str]) -> Ran {
    ends(0, words)
}

/// Runs the command with `--json`, and returns what it says about its places.
#[track_caller]
pub(crate) fn json(words: &[&str]) -> Vec<Value> {
    let ran = done(&[words, &["--json"]].concat());
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["version"], 1);
    let places = document.get("attached").or(document.get("unloaded")).unwrap();
    places.as_array().unwrap().clone()
}

/// Loads a program on one place, and returns what the command says about it.
#[track_caller]
pub(crate) fn load(object: &Path, target: &str, more: &[&str]) -> Value {
    let words = [&["load", object.to_str().unwrap(), "--on", target], more].concat();
    let places = json(&words);
    assert_eq!(places.len(), 1, "{places:?}");
    places.into_iter().next().unwrap()
}

/// Takes the program of one place off.
#[track_caller]
pub(crate) fn unload(target: &str) -> Ran {
    done(&["unload", "--on", target])
}

/// The id of the program in this answer.
pub(crate) fn id(answer: &Value) -> u32 {
    u32::try_from(answer["id"].as_u64().unwrap()).unwrap()
}

/// Runs a command line of words without quotes, which must succeed, and returns what it prints.
#[track_caller]
pub(crate) fn tool(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
