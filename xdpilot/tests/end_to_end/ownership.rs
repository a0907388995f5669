//! Whose program it is, and that each can be taken off.

use std::path::{Path, PathBuf};
use std::process::Command;

use xdpilot_kernel::link::Link;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::{pins, program};

use crate::command::{done, ends, id, json, load, tool, unload};
use crate::net::{Pair, unique};
use crate::programs::example;

/// A folder of pins that is removed with this value.
struct Pins(PathBuf);

impl Pins {
    fn new() -> Pins {
        pins::ensure_mounted().unwrap();
        let folder = Path::new(pins::BPFFS).join(unique());
        std::fs::create_dir(&folder).unwrap();
        Pins(folder)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A link of somebody else: the program that bpftool loaded, attached by this process.
fn their_link(pair: &Pair, pins: &Pins) -> Link {
    let pin = pins.join("program");
    tool(&format!("bpftool prog load {} {} type xdp", example("udp").display(), pin.display()));
    let program = program::open_pinned(&pin).unwrap();
    std::fs::remove_file(&pin).unwrap();
    let index = pair.far.interface("eth0").index;
    use std::os::fd::AsFd;
    pair.far.run(|| Link::attach_xdp(program.as_fd(), index, Mode::Native.flag())).unwrap()
}

#[test]
fn root_a_link_that_a_process_holds_is_named_and_taken_off() {
    let (pair, pins) = (Pair::new(), Pins::new());
    let link = their_link(&pair, &pins);
    let holder = format!("process {} (", std::process::id());
    pair.assert_dropped();
    for more in [&[][..], &["--replace"]] {
        let object = example("dropper");
        let target = pair.target();
        let ran = ends(1, &[&["load", object.to_str().unwrap(), "--on", &target], more].concat());
        assert!(ran.err.contains(&holder) && ran.err.contains(&format!("link {}", link.info().unwrap().id)), "{ran:?}");
        pair.assert_dropped();
    }
    let ran = unload(&pair.target());
    assert!(ran.err.contains(&holder) && ran.err.contains("left without a program"), "{ran:?}");
    assert_eq!(pair.xdp(), None);
    pair.assert_flows();
    assert_eq!(link.info().unwrap().xdp_ifindex(), None);
}

#[test]
fn root_a_link_that_is_pinned_elsewhere_is_named_and_taken_off() {
    let (pair, pins) = (Pair::new(), Pins::new());
    let pin = pins.join("link");
    their_link(&pair, &pins).pin(&pin).unwrap();
    let object = example("dropper");
    let ran = ends(1, &["load", object.to_str().unwrap(), "--on", &pair.target(), "--replace"]);
    assert!(ran.err.contains(&format!("pin {}", pin.display())), "{ran:?}");
    pair.assert_dropped();
    let ran = unload(&pair.target());
    assert!(ran.err.contains(&format!("pin {}", pin.display())), "{ran:?}");
    pair.assert_flows();
    assert!(pin.exists(), "others' pins are theirs");
}

#[test]
fn root_programs_of_ip_and_bpftool_are_taken_off_in_their_mode() {
    let (pair, pins) = (Pair::new(), Pins::new());
    let object = example("udp").display().to_string();
    for (word, name) in [("xdpdrv", "native"), ("xdpgeneric", "generic")] {
        tool(&format!("ip -n {} link set dev eth0 {word} obj {object} sec xdp", pair.far.name));
        pair.assert_dropped();
        let gone = json(&["unload", "--on", &pair.target()]);
        assert_eq!((&gone[0]["removed"][0]["mode"], &gone[0]["removed"][0]["program"]), (&name.into(), &"udp".into()));
        pair.assert_flows();

        let pin = pins.join("program");
        tool(&format!("bpftool prog load {object} {} type xdp", pin.display()));
        let inside = format!("--net=/run/netns/{}", pair.far.name);
        let words = ["net", "attach", word, "pinned", pin.to_str().unwrap(), "dev", "eth0"];
        assert!(Command::new("nsenter").args([&inside, "bpftool"]).args(words).status().unwrap().success());
        std::fs::remove_file(&pin).unwrap();
        pair.assert_dropped();
        unload(&pair.target());
        pair.assert_flows();
    }
}

#[test]
fn root_unload_says_when_nothing_is_there() {
    let pair = Pair::new();
    let ran = done(&["unload", "--on", &pair.target()]);
    assert_eq!(ran.out, format!("{}: no XDP program is attached\n", pair.target()));
    let places = json(&["unload", "--on", &pair.target()]);
    assert_eq!(places[0]["removed"].as_array().unwrap().len(), 0);
}

#[test]
fn root_unload_takes_off_only_the_program_that_is_named() {
    let pair = Pair::new();
    let target = pair.target();
    for by_id in [true, false] {
        let answer = load(&example("dropper"), &target, &[]);
        let (right, wrong) = (id(&answer).to_string(), (id(&answer) + 1).to_string());
        let (option, right, wrong) =
            if by_id { ("--id", right.as_str(), wrong.as_str()) } else { ("--program", "main", "udp") };
        let ran = ends(2, &["unload", "--on", &target, option, wrong]);
        assert!(ran.err.contains("no such program"), "{ran:?}");
        assert_eq!(pair.xdp(), Some((1, id(&answer))));
        done(&["unload", "--on", &target, option, right]);
        assert_eq!(pair.xdp(), None);
    }
}

#[test]
fn root_a_second_program_is_refused_with_the_way_on() {
    let pair = Pair::new();
    let target = pair.target();
    let first = load(&example("dropper"), &target, &[]);
    let ran = ends(1, &["load", example("udp").to_str().unwrap(), "--on", &target]);
    assert!(ran.err.contains(&format!("program main (id {})", id(&first))), "{ran:?}");
    assert!(ran.err.contains(&format!("xdpilot load … --on {target} --replace")), "{ran:?}");
    assert_eq!(pair.xdp(), Some((1, id(&first))));
    unload(&target);
}

#[test]
fn root_the_pin_of_a_vanished_interface_is_swept_by_the_next_command() {
    let (pair, other) = (Pair::new(), Pair::new());
    let answer = load(&example("dropper"), &pair.target(), &[]);
    let pin = Path::new(answer["link"].as_str().unwrap());
    assert!(pin.exists());
    tool(&format!("ip -n {} link del eth0", pair.far.name));
    unload(&other.target());
    assert!(!pin.exists());
}
