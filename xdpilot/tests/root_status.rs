//! `xdpilot status` against ip(8) and bpftool, in namespaces of its own.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;
use xdpilot::attach::Wish;
use xdpilot::direction::Direction;
use xdpilot::place::{self, Traffic};
use xdpilot::put::{self, Order};
use xdpilot::source::{self, Input};
use xdpilot::status::{InterfaceStatus, Key, Look, Owner, Snapshot, draw, sample};
use xdpilot::table::Style;
use xdpilot::unload;
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::mode::Mode;
use xdpilot_kernel::namespace::Namespace;
use xdpilot_kernel::stats::Stats;
use xdpilot_kernel::{pins, program};

const SOURCE: &str = r#"
__attribute__((section("xdp"), used)) int a_program_with_a_long_name(void *ctx) { return 2; }
char _license[] __attribute__((section("license"))) = "Dual MIT/GPL";
"#;

/// A namespace with the veth pair `left` and `right`, and a folder of pins; all vanish with it.
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
        net.run("ip link add left type veth peer name right");
        let source = net.folder.path().join("p.c");
        fs::write(&source, SOURCE).unwrap();
        run(&format!("clang-19 -target bpf -O2 -g -c {} -o {}", source.display(), net.object()));
        net
    }

    fn object(&self) -> String {
        self.folder.path().join("p.o").display().to_string()
    }

    fn run(&self, line: &str) -> String {
        // Unlike `ip netns exec` this leaves /sys, and the pins in it, where they are.
        run(&format!("nsenter --net=/run/netns/{} {line}", self.name))
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
    net.run(&format!("ip link set left xdpdrv obj {} sec xdp", net.object()));
    let pin = net.load("p");
    net.run(&format!("bpftool net attach xdpgeneric pinned {} dev right", pin.display()));
    let seen = net.seen(&sample(Look::default()).unwrap());
    let links = net.json("ip -j -d link show");
    for (name, mode) in [("left", "native"), ("right", "generic")] {
        let ours = seen.iter().find(|one| one.interface == name).unwrap();
        let theirs = links.as_array().unwrap().iter().find(|link| link["ifname"] == name).unwrap();
        assert_eq!(theirs["xdp"]["prog"]["id"], ours.programs[0].id);
        assert_eq!(theirs["ifindex"], ours.ifindex);
        assert_eq!(ours.place, [format!("netns:{}", net.name)]);
        assert_eq!(ours.programs[0].owner, Owner::Netlink);
        assert_as_bpftool(ours, mode);
    }
    assert_eq!(seen.len(), 2, "the loopback carries none: {seen:?}");
    net.run("bpftool net detach xdpgeneric dev right");
    net.run("ip link set left xdpdrv off");
    assert!(net.seen(&sample(Look::default()).unwrap()).is_empty());
}

#[test]
fn root_a_link_is_named_by_its_pin_and_its_process() {
    let net = Net::new("l");
    let program = program::open_pinned(&net.load("p")).unwrap();
    let namespace = Namespace::named(&net.name).unwrap();
    let link = namespace.run(|| {
        let index = Interface::by_name("left")?.index;
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
    let index = namespace.run(|| Interface::by_name("right")).unwrap().index;
    let wanted: [Key; 1] = [(namespace.inode(), index)];
    let snapshot = sample(Look { wanted: Some(&wanted), ..Look::default() }).unwrap();
    let [only] = &snapshot.interfaces[..] else { panic!("{snapshot:?}") };
    assert_eq!((&*only.interface, only.programs.len()), ("right", 0));
    assert!(draw(&snapshot, Style::default()).contains("none"));
    let nothing = sample(Look { wanted: Some(&[(0, 0)]), ..Look::default() }).unwrap();
    assert_eq!(draw(&nothing, Style::default()), "no XDP program is attached\n");
}

/// Sends so many UDP packets out of `right`, into `left`.
fn send(net: &Net, count: usize) {
    let send = || {
        let socket = std::net::UdpSocket::bind("10.9.9.1:0").unwrap();
        (0..count).for_each(|_| assert_eq!(socket.send_to(b"packet", "10.9.9.2:9").unwrap(), 6));
        Ok(())
    };
    Namespace::named(&net.name).unwrap().run(send).unwrap();
}

#[test]
fn root_what_xdpilot_loaded_has_source_counts_rates_and_runs() {
    let net = Net::new("c");
    for line in [
        "sysctl -qw net.ipv6.conf.all.disable_ipv6=1",
        "ip addr add 10.9.9.1/24 dev right",
        "ip link set left up",
        "ip link set right up",
        "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:09 dev right",
    ] {
        net.run(line);
    }
    let source = source::read(Path::new(&net.object())).unwrap();
    let target = format!("netns:{}/left", net.name).parse().unwrap();
    let places = place::resolve(&target, Traffic::To).unwrap();
    let wish = Wish { mode: Some(Mode::Native), replace: false, netlink: false, direction: Direction::Ingress };
    let order = Order { choice: Choice::default(), wish, bare: false, verbose: false, carry: false };
    let id = put::load(&Input::Object(source), &places, &order).unwrap()[0].id;
    let wanted: [Key; 1] = [(places[0].namespace.inode(), places[0].interface.index)];
    let look =
        |before: Option<&Snapshot>| sample(Look { wanted: Some(&wanted), before, runs: before.is_some() }).unwrap();
    let program = |snapshot: &Snapshot| snapshot.interfaces[0].programs[0].clone();
    let passed = |snapshot: &Snapshot| program(snapshot).verdicts.unwrap()[2].packets;

    let _stats = Stats::enable().unwrap();
    let before = look(None);
    assert_eq!((program(&before).id, passed(&before)), (id, 0));
    assert_eq!(program(&before).source.unwrap(), net.object());
    assert!(program(&before).runs.is_none());
    assert!(
        matches!(program(&before).owner, Owner::Link { ref pins, .. } if *pins == [places[0].link_path(Direction::Ingress)])
    );
    send(&net, 20);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let after = loop {
        let after = look(Some(&before));
        if passed(&after) == 20 {
            break after;
        }
        assert!(std::time::Instant::now() < deadline, "{after:?}");
        std::thread::yield_now();
    };
    let seen = program(&after);
    let verdicts = seen.verdicts.unwrap();
    // Ethernet, IPv4 and UDP headers before six bytes.
    assert_eq!((verdicts[2].verdict, verdicts[2].bytes), ("pass", 20 * (14 + 20 + 8 + 6)));
    let rate = verdicts[2].packets_per_second.unwrap();
    assert!((rate * after.interval.unwrap() - 20.0).abs() < 0.01);
    let runs = seen.runs.unwrap();
    assert!(runs.count >= 20 && runs.ns_per_run.unwrap() > 0.0, "{runs:?}");
    let text = draw(&after, Style::default());
    assert!(text.contains("verdicts: pass 20, 960 B ("), "{text}");
    unload::unload(&places[0], |_| true).unwrap();
    assert!(look(None).interfaces[0].programs.is_empty());
}

#[test]
fn root_as_nobody_what_is_attached_is_still_seen() {
    const CHILD: &str = "XP_STATUS_AS_NOBODY";
    if std::env::var_os(CHILD).is_some() {
        let snapshot = sample(Look::default()).unwrap();
        println!("seen: {}", serde_json::to_string(&snapshot).unwrap());
        return;
    }
    let net = Net::new("n");
    net.run(&format!("ip link set left xdpdrv obj {} sec xdp", net.object()));
    // A copy where nobody may run it.
    let own = TempDir::new().unwrap();
    let program = own.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    run(&format!("chmod 755 {} {}", own.path().display(), program.display()));
    let printed = net.run(&format!(
        "env {CHILD}=1 setpriv --reuid 65534 --regid 65534 --clear-groups {} --exact --nocapture \
         root_as_nobody_what_is_attached_is_still_seen",
        program.display()
    ));
    let json = printed.lines().find_map(|line| line.split_once("seen: ")).unwrap().1;
    let seen: Value = serde_json::from_str(json).unwrap();
    let interface = seen["interfaces"].as_array().unwrap().iter().find(|one| one["interface"] == "left").unwrap();
    let all = net.seen(&sample(Look::default()).unwrap());
    let program = &interface["programs"][0];
    assert_eq!((&program["id"], &program["mode"]), (&all[0].programs[0].id.into(), &"native".into()));
    assert_eq!((&program["name"], &program["owner"]["kind"]), (&Value::Null, &"hidden".into()));
    assert_eq!(seen["hidden"].as_array().unwrap().len(), 2, "{seen}");
}
