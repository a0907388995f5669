//! The examples do what they say: the committed objects are what `examples/build` makes of the sources, and the one of
//! routing routes. Needs clang; root, etcd, python3 and curl.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: [&str; 4] = ["bounce", "dropper", "pass", "udp"];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// Runs this `build` script, with the objects going to `out`.
fn build(script: &Path, out: &Path) {
    let output = Command::new(script).arg(out).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the kernel will get: the sections with SHF_ALLOC (code, data, license, maps), by name. Debugging
/// information differs between compilers, these have been the same from clang 13 on.
fn loaded_sections(object: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(object).unwrap();
    let number =
        |at: usize, size: usize| bytes[at..at + size].iter().rev().fold(0, |sum, b| sum << 8 | usize::from(*b));
    let (table, count, names) = (number(0x28, 8), number(0x3c, 2), number(0x3e, 2));
    let header = |index: usize| table + index * 0x40;
    let names = number(header(names) + 0x18, 8);
    (0..count)
        .filter(|index| number(header(*index) + 0x08, 8) & 2 != 0)
        .map(|index| {
            let name = bytes[names + number(header(index), 4)..].split(|byte| *byte == 0).next().unwrap();
            let (start, size) = (number(header(index) + 0x18, 8), number(header(index) + 0x20, 8));
            (String::from_utf8(name.to_vec()).unwrap(), bytes[start..start + size].to_vec())
        })
        .collect()
}

#[test]
fn the_committed_objects_are_built_from_the_sources() {
    let out = tempfile::tempdir().unwrap();
    build(&examples().join("build"), out.path());
    for name in NAMES {
        let committed = loaded_sections(&examples().join(format!("{name}.o")));
        assert_eq!(committed, loaded_sections(&out.path().join(format!("{name}.o"))), "{name}: run examples/build");
        let code = if name == "dropper" { ".text" } else { "xdp" };
        assert!(!committed[code].is_empty(), "{name}");
    }
}

#[test]
fn objects_do_not_tell_where_they_were_built() {
    let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    for home in &homes {
        for entry in fs::read_dir(examples()).unwrap() {
            let entry = entry.unwrap();
            if entry.path().is_file() && !entry.file_name().to_string_lossy().ends_with(".o") {
                fs::copy(entry.path(), home.path().join(entry.file_name())).unwrap();
            }
        }
        build(&home.path().join("build"), home.path());
    }
    for name in NAMES {
        let [first, second] =
            [&homes[0], &homes[1]].map(|home| fs::read(home.path().join(format!("{name}.o"))).unwrap());
        assert!(first == second, "{name}");
    }
}

#[test]
fn root_requests_go_where_the_rules_in_the_store_say() {
    let mut command = Command::new(examples().join("http-routing/run"));
    let output = command.env("XDPILOT", env!("CARGO_BIN_EXE_xdpilot")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let acts: Vec<&str> = said.split("\n# ").collect();
    // What each host answers in an act, as a letter.
    let answers = |act: &str| -> String {
        let act = acts.iter().find(|text| text.starts_with(act)).unwrap_or_else(|| panic!("no {act} in {said}"));
        act.lines().filter_map(|line| line.strip_prefix("  by host ")?.split(": ").nth(1)?.chars().next()).collect()
    };
    let cats_but_for_testers = |answers: &str| {
        let letters: Vec<char> = answers.chars().collect();
        letters.len() == 3 && [0, 2].iter().all(|at| "cd".contains(letters[*at])) && letters[1] == 'b'
    };
    assert!(cats_but_for_testers(&answers("xdpilot apply")), "{said}");
    assert_eq!(answers("the rules change"), "bbb", "{said}");
    assert!(cats_but_for_testers(&answers("xdpilot rollback")), "{said}");
    assert_eq!(answers("the dogs rest"), "cbc", "{said}");
    assert_eq!(answers("the store is gone"), "cbc", "{said}");
}
