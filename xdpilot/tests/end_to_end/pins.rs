//! Maps that their authors want pinned, as iproute2 does it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use sha1::{Digest, Sha1};
use xdpilot_kernel::pins;

use crate::command::{done, load, tool, unload};
use crate::net::{PATIENCE, Pair, unique};
use crate::programs::{build, pinning_dropper};

const TC: &str = "/sys/fs/bpf/tc";

/// The packets that were counted in the map pinned there.
fn counted(pin: &Path) -> u64 {
    let shown = tool(&format!("bpftool -j map lookup pinned {} key 0 0 0 0", pin.display()));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let bytes = shown["value"].as_array().unwrap().iter().map(|byte| byte.as_str().unwrap().to_owned());
    let bytes: Vec<u8> = bytes.map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).unwrap()).collect();
    u64::from_le_bytes(bytes.try_into().unwrap())
}

#[test]
fn root_a_global_pin_is_shared_and_goes_with_its_last_program() {
    let (one, two) = (Pair::new(), Pair::new());
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let pin = Path::new(TC).join("globals").join(&name);
    load(&object.path, &one.target(), &[]);
    assert!(pin.exists());
    load(&object.path, &two.target(), &[]);
    one.assert_dropped();
    two.assert_dropped();
    assert_eq!(counted(&pin), 2);
    let ran = unload(&one.target());
    assert!(ran.err.contains(&format!("left the pin {}", pin.display())), "{ran:?}");
    two.assert_dropped();
    assert_eq!(counted(&pin), 3);
    let ran = unload(&two.target());
    assert!(ran.err.contains(&format!("removed the pin {}", pin.display())), "{ran:?}");
    assert!(!pin.exists());
}

#[test]
fn root_one_command_shares_a_pin_between_its_targets() {
    let (one, two) = (Pair::new(), Pair::new());
    let (first, second) = (one.target(), two.target());
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let pin = Path::new(TC).join("globals").join(&name);
    done(&["load", object.path.to_str().unwrap(), "--on", &first, "--on", &second]);
    one.assert_dropped();
    two.assert_dropped();
    assert_eq!(counted(&pin), 2);
    done(&["unload", "--on", &first, "--on", &second]);
    assert!(!pin.exists());
}

#[test]
fn root_an_object_pin_lies_in_a_folder_of_the_object() {
    let pair = Pair::new();
    let name = unique();
    let object = build(&pinning_dropper(&name, 1));
    let hash: String = Sha1::digest(fs::read(&object.path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect();
    let folder: PathBuf = Path::new(TC).join(hash);
    load(&object.path, &pair.target(), &[]);
    pair.assert_dropped();
    assert_eq!(counted(&folder.join(&name)), 1);
    load(&object.path, &pair.target(), &["--replace"]);
    pair.assert_dropped();
    assert_eq!(counted(&folder.join(&name)), 2, "the replacement goes on with the map");
    unload(&pair.target());
    assert!(!folder.exists());
}

#[test]
fn root_a_pin_that_was_there_before_stays() {
    let pair = Pair::new();
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let pin = Path::new(TC).join("globals").join(&name);
    // Another test may be removing the folder.
    let lock = pins::lock(|| {}).unwrap();
    fs::create_dir_all(pin.parent().unwrap()).unwrap();
    let create = format!("bpftool map create {} type array key 4 value 8 entries 1 name theirs", pin.display());
    tool(&create);
    drop(lock);
    load(&object.path, &pair.target(), &[]);
    pair.assert_dropped();
    assert_eq!(counted(&pin), 1);
    unload(&pair.target());
    assert!(pin.exists());
    fs::remove_file(&pin).unwrap();
    // Others may have pins there.
    _ = fs::remove_dir(pin.parent().unwrap());
    _ = fs::remove_dir(TC);
}

#[test]
fn root_the_pins_of_a_vanished_interface_are_swept() {
    let (pair, other) = (Pair::new(), Pair::new());
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let pin = Path::new(TC).join("globals").join(&name);
    load(&object.path, &pair.target(), &[]);
    drop(pair);
    let start = Instant::now();
    while pin.exists() {
        assert!(start.elapsed() < PATIENCE, "{} stays", pin.display());
        unload(&other.target());
    }
}

#[test]
fn root_a_command_in_a_namespace_of_its_own_shares_the_pins() {
    let pair = Pair::new();
    let name = unique();
    let object = build(&pinning_dropper(&name, 2));
    let pin = Path::new(TC).join("globals").join(&name);
    let exec = |words: &[&str]| {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", &pair.far.name, crate::command::XDPILOT]).args(words).output().unwrap().status
    };
    assert!(exec(&["load", object.path.to_str().unwrap(), "--on", "eth0"]).success());
    pair.assert_dropped();
    assert_eq!(counted(&pin), 1);
    unload(&pair.target());
    assert!(!pin.exists());
}
