//! `xdpilot status` against ip(8) and bpftool, in namespaces of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use xdpilot::status::{InterfaceStatus, Key, Look, Owner, Snapshot, draw, sample};
use xdpilot::table::Style;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::{pins, program};

const SOURCE: &str = r#"
__attribute__((section("xdp"), used)) int a_program_with_a_long_name(void *ctx) { return 2; }
char license[] __attribute__((section("license"))) = "Dual MIT/GPL";
"#;

/// A namespace with the veth pair `a` and `b`, and a folder of pins; all vanish with it.
struct Net {
    name: String,
    pins: PathBuf,
    folder: TempDir,
}

impl Net {
    fn new(suffix: &str) -> Net {
        pins::ensure_mounted().unwrap();
        let name = format!("xp{}{suffix}", std::process::id());
        let net = Net { pins: Path::new(pins::BPFFS).join(&name), folder: TempDir::new().unwrap(), name };
        fs::create_dir(&net.pins).unwrap();
        run(&format!("ip netns add {}", net.name));
        net.run("ip link add a type veth peer name b");
        let source = net.folder.path().join("p.c");
        fs::write(&source, SOURCE).unwrap();
        run(&format!("clang-19 -target bpf -O2 -g -c {} -o {}", source.display(), net.object()));
        net
    }

    fn object(&self) -> String {
        self.folder.path().join("p.o").display().to_string()
    }

    fn run(&self, line: &str) -> String {
        run(&format!("ip netns exec {} {line}", self.name))
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run(line)).unwrap()
    }

    /// Loads the program and pins it; returns the pin.
    fn load(&self, name: &str) -> PathBuf {
        let pin = self.pins.join(name);
        run(&format!("bpftool prog load {} {} type xdp", self.object(), pin.display()));
        pin
    }

    /// What status sees in this namespace alone.
    fn seen(&self, snapshot: &Snapshot) -> Vec<InterfaceStatus> {
        let inode = Namespace::named(&self.name).unwrap().inode();
        snapshot.interfaces.iter().filter(|one| one.netns == inode).cloned().collect()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // What is left by a failed test goes with the namespace and the folder.
        _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
        _ = fs::remove_dir_all(&self.pins);
    }
}

fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The facts agree with bpftool's of the same id.
fn assert_as_bpftool(seen: &InterfaceStatus, mode: &str) {
    let [one] = &seen.programs[..] else { panic!("{seen:?}") };
    let facts: Value = serde_json::from_str(&run(&format!("bpftool -j prog show id {}", one.id))).unwrap();
    assert_eq!(facts["tag"].as_str(), one.tag.as_deref());
    assert_eq!(one.name.as_deref(), Some("a_program_with_a_long_name"));
    assert_eq!(one.mode, mode);
    let loaded = one.loaded_at.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(loaded.abs_diff(facts["loaded_at"].as_u64().unwrap()) <= 1);
}

#[test]
fn root_programs_of_ip_and_bpftool_are_seen_as_they_see_them() {
    let net = Net::new("s");
    net.run(&format!("ip link set a xdpdrv obj {} sec xdp", net.object()));
    let pin = net.load("p");
    net.run(&format!("bpftool net attach xdpgeneric pinned {} dev b", pin.display()));
    let seen = net.seen(&sample(Look::default()).unwrap());
    let links = net.json("ip -j -d link show");
    for (name, mode) in [("a", "native"), ("b", "generic")] {
        let ours = seen.iter().find(|one| one.interface == name).unwrap();
        let theirs = links.as_array().unwrap().iter().find(|link| link["ifname"] == name).unwrap();
        assert_eq!(theirs["xdp"]["prog"]["id"], ours.programs[0].id);
        assert_eq!(theirs["ifindex"], ours.ifindex);
        assert_eq!(ours.place, [format!("netns:{}", net.name)]);
        assert_eq!(ours.programs[0].owner, Owner::Netlink);
        assert_as_bpftool(ours, mode);
    }
    assert_eq!(seen.len(), 2, "the loopback carries none: {seen:?}");
    net.run("bpftool net detach xdpgeneric dev b");
    net.run("ip link set a xdpdrv off");
    assert!(net.seen(&sample(Look::default()).unwrap()).is_empty());
}

#[test]
fn root_a_link_is_named_by_its_pin_and_its_process() {
    let net = Net::new("l");
    let program = program::open_pinned(&net.load("p")).unwrap();
    let namespace = Namespace::named(&net.name).unwrap();
    let link = namespace.run(|| {
        let index = Interface::by_name("a")?.index;
        Link::attach_xdp(std::os::fd::AsFd::as_fd(&program), index, Mode::Native.flag())
    });
    let link = link.unwrap();
    let id = link.info().unwrap().id;
    let pin = net.pins.join("link");
    link.pin(&pin).unwrap();
    let owner = || match net.seen(&sample(Look::default()).unwrap())[0].programs[0].owner.clone() {
        Owner::Link { id: seen, pins, processes } if seen == id => (pins, processes),
        other => panic!("{other:?}"),
    };
    let (pins, processes) = owner();
    assert_eq!(pins, std::slice::from_ref(&pin));
    assert!(processes.iter().any(|process| process.pid == std::process::id()), "{processes:?}");
    drop(link);
    assert_eq!(owner(), (vec![pin.clone()], vec![]));

    let text = draw(&sample(Look::default()).unwrap(), Style::default());
    let line = text.lines().find(|line| line.contains(&*net.name)).unwrap();
    for word in ["a_program_with_a_long_name", "native", pin.to_str().unwrap()] {
        assert!(line.contains(word), "{line}");
    }
    pins::remove(&pin).unwrap();
    assert!(net.seen(&sample(Look::default()).unwrap()).is_empty(), "the last pin held it");
}

#[test]
fn root_a_wanted_interface_is_shown_without_a_program_too() {
    let net = Net::new("w");
    let namespace = Namespace::named(&net.name).unwrap();
    let index = namespace.run(|| Interface::by_name("b")).unwrap().index;
    let wanted: [Key; 1] = [(namespace.inode(), index)];
    let snapshot = sample(Look { wanted: Some(&wanted), ..Look::default() }).unwrap();
    let [only] = &snapshot.interfaces[..] else { panic!("{snapshot:?}") };
    assert_eq!((&*only.interface, only.programs.len()), ("b", 0));
    assert!(draw(&snapshot, Style::default()).contains("none"));
    let nothing = sample(Look { wanted: Some(&[(0, 0)]), ..Look::default() }).unwrap();
    assert_eq!(draw(&nothing, Style::default()), "no XDP program is attached\n");
}
