//! The demo as a user runs it. Needs root: it makes network namespaces and loads programs.
// The helpers of tests are tests too.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xdpilot::record::Record;
use xdpilot_core::error::Result;
use xdpilot_kernel::link::Link;
use xdpilot_kernel::pins;
use xdpilot_kernel::program::ProgramInfo;

const XDPILOT: &str = env!("CARGO_BIN_EXE_xdpilot");
/// The command that begins the second step.
const DROP: &str = "$ xdpilot load dropper.o --on netns:";

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(XDPILOT);
    command.arg("demo").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Whether the demo with this process id left a namespace or a directory.
fn left_behind(pid: u32) -> bool {
    let directory = format!("xdpilot-demo-{pid}");
    let namespaces = format!("{directory}-");
    let mine = |name: &str| name == directory || name.starts_with(&namespaces);
    ["/run", "/run/netns"].iter().any(|directory| {
        std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .any(|entry| mine(&entry.unwrap().file_name().to_string_lossy()))
    })
}

/// Starts a demo and reads until a line of its output contains `text`; returns that line too.
fn started_until(text: &str) -> (Child, BufReader<std::process::ChildStdout>, String) {
    until(&[], text)
}

/// The same, with these words.
fn until(arguments: &[&str], text: &str) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = demo(arguments).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the demo ended before {text:?}");
    }
    (child, lines, line)
}

#[test]
fn root_the_story_is_told_in_plain_lines() {
    let started = Instant::now();
    let child = demo(&[]).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(told.matches("   as expected\n").count(), 7, "{told}");
    assert!(told.contains(&format!("{DROP}xdpilot-demo-{pid}-web/eth0\n")), "{told}");
    assert!(told.contains("http 0 ok 4 lost | dns 0 ok 4 lost"), "{told}");
    assert!(!told.contains(['\x1b', '\r']), "{told}");
    assert!(!left_behind(pid));
}

#[test]
fn root_json_holds_every_step_and_nothing_else_is_printed() {
    let output = demo(&["--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    assert_eq!((&report["version"], &report["ok"]), (&1.into(), &true.into()));
    let seen: Vec<_> = report["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            let count = |protocol: &str, outcome: &str| step[protocol][outcome].as_u64().unwrap() > 0;
            let way = |protocol: &str| match (count(protocol, "answered"), count(protocol, "returned")) {
                (true, false) => "answered",
                (false, true) => "returned",
                (false, false) => "lost",
                (true, true) => "both",
            };
            (way("http"), way("dns"))
        })
        .collect();
    let flowing = ("answered", "answered");
    assert_eq!(
        seen,
        [flowing, ("lost", "lost"), flowing, ("answered", "lost"), flowing, ("answered", "returned"), flowing]
    );
}

#[test]
fn root_a_terminal_gets_a_live_line_and_no_colour_where_it_is_unwanted() {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("{XDPILOT} demo"), "/dev/null"])
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.matches("\r\x1b[2K   http ").count() > 7 * 10, "{told}");
    assert!(!told.contains("\x1b[0m"), "{told}");
}

#[test]
fn root_a_signal_stops_it_and_nothing_is_left() {
    for signal in ["INT", "TERM", "HUP"] {
        let (child, lines, _) = started_until(DROP);
        let pid = child.id();
        assert!(left_behind(pid));
        assert!(Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("stopped by a signal"), "{said}");
        assert!(!left_behind(pid));
        drop(lines);
    }
}

#[test]
fn root_a_reader_that_goes_away_ends_it_and_nothing_is_left() {
    let (mut child, lines, _) = started_until(DROP);
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!left_behind(child.id()));
}

/// The pins of the programs that this demo loaded.
fn pins_of(pid: u32) -> Vec<PathBuf> {
    let belongs = |pin: &Path| -> Result<bool> {
        let Some(program) = ProgramInfo::of_id(Link::open_pinned(pin)?.info()?.program_id)? else { return Ok(false) };
        Ok(Record::of(&program)?.is_some_and(|record| record.target.contains(&format!("xdpilot-demo-{pid}-"))))
    };
    let pins = std::fs::read_dir("/sys/fs/bpf/xdpilot").into_iter().flatten().flatten().map(|entry| entry.path());
    // Maps are pinned there too, and pins of others come and go.
    pins.filter(|pin| belongs(pin).unwrap_or(false)).collect()
}

/// Kills a demo; whether it left a namespace or a directory, and how many pins.
fn kill(demo: &mut Child) -> (bool, usize) {
    // Until it was seen, no other test's demo must clean it: that takes the program off first.
    let _lock = pins::lock(|| {}).unwrap();
    demo.kill().unwrap();
    assert_eq!(demo.wait().unwrap().code(), None, "it was over before it was killed");
    (left_behind(demo.id()), pins_of(demo.id()).len())
}

#[test]
fn root_the_next_demo_removes_what_a_killed_one_left() {
    let (mut killed, mut lines, _) = started_until(DROP);
    let attached = |line: String| line.contains(" attached, ");
    assert!(lines.by_ref().lines().any(|line| attached(line.unwrap())));
    assert_eq!(kill(&mut killed), (true, 1));
    assert!(demo(&["--json"]).status().unwrap().success());
    assert!(!left_behind(killed.id()));
    assert!(pins_of(killed.id()).is_empty());
}

#[test]
fn root_the_next_demo_removes_what_demos_left_that_were_killed_at_any_time() {
    // Numbers without a pattern, the same in each run (Knuth's MMIX generator).
    let mut seed = 0x5EED_u64;
    let mut draw = |from: u64, to: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(from + (seed >> 33) % (to - from))
    };
    // Two while it sets the stage, three while the story is told: a demo takes longer than that.
    let mut points = [draw(0, 100), draw(0, 100), draw(500, 5000), draw(500, 5000), draw(500, 5000)];
    points.sort_unstable();
    let started = Instant::now();
    let demos = points.map(|point| (point, demo(&["--json"]).spawn().unwrap()));
    let killed = demos.map(|(point, mut demo)| {
        std::thread::sleep((started + point).saturating_duration_since(Instant::now()));
        (kill(&mut demo).0, demo.id())
    });
    assert!(killed[2..].iter().all(|(left, _)| *left), "{killed:?}");
    assert!(demo(&["--json"]).status().unwrap().success());
    for (_, pid) in killed {
        assert!(!left_behind(pid), "demo {pid}");
        assert_eq!(pins_of(pid), Vec::<PathBuf>::new());
    }
}

#[test]
fn root_an_unmet_expectation_is_told_and_fails() {
    let (mut child, mut lines, command) = started_until(DROP);
    let target = command.trim_end().rsplit(' ').next().unwrap();
    // The demo still loads: its program is taken off as soon as it is there.
    let deadline = Instant::now() + Duration::from_secs(5);
    let unload = || Command::new(XDPILOT).args(["unload", "--on", target]).output().unwrap();
    let shown = |namespace: &str| {
        let output = Command::new("ip").args(["-n", namespace, "link", "show", "eth0"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("prog/xdp")
    };
    let namespace = target.trim_start_matches("netns:").trim_end_matches("/eth0");
    while !shown(namespace) {
        assert!(Instant::now() < deadline, "no program on {target}");
    }
    assert!(unload().status.success());
    let mut told = String::new();
    lines.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    assert!(told.contains("NOT AS EXPECTED"), "{told}");
    assert!(!left_behind(child.id()));
}

/// The command that begins the second act of `demo route`.
const WEIGH: &str = "$ xdpilot pool weight";

/// Whether the command runs that keeps the policy of this demo.
fn is_kept(pid: u32) -> bool {
    let words = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let target = format!("netns:xdpilot-demo-{pid}-router/eth0").into_bytes();
    let is_its = |command: Vec<u8>| command.split(|byte| *byte == 0).any(|word| word == target);
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| is_its(words(entry)))
}

#[test]
fn root_route_loses_nothing_but_at_the_kill() {
    let child = demo(&["route"]).spawn().unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(told.matches("   as expected\n").count(), 6, "{told}");
    assert_eq!(told.matches(" | lost 0   as expected\n").count(), 5, "{told}");
    assert!(told.contains("\nNo request was lost but "), "{told}");
    assert!(!told.contains(['\x1b', '\r']), "{told}");
    assert!(!left_behind(pid) && !is_kept(pid) && pins_of(pid).is_empty());
}

#[test]
fn root_route_tells_each_act_as_json() {
    let output = demo(&["route", "--json"]).output().unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{report}");
    assert_eq!((&report["version"], &report["ok"]), (&1.into(), &true.into()));
    for act in report["acts"].as_array().unwrap() {
        let answered = act["answered"].as_object().unwrap().values().map(|its| its.as_u64().unwrap()).sum::<u64>();
        assert_eq!(act["requests"], answered + act["lost"].as_u64().unwrap(), "{report}");
        assert!(answered >= 500 && act["met"] == true && (act["lost"] == 0 || act["may_lose"] == true), "{report}");
    }
}

#[test]
fn root_route_draws_bars_on_a_terminal() {
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &format!("{XDPILOT} demo route"), "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    assert!(told.matches("\x1b[4A\r\x1b[2K   cat1  █").count() > 6 * 10, "{told}");
}

#[test]
fn root_route_is_stopped_by_a_signal_and_nothing_is_left() {
    let (child, lines, _) = until(&["route"], WEIGH);
    let pid = child.id();
    assert!(left_behind(pid) && is_kept(pid));
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopped by a signal"), "{said}");
    assert!(!left_behind(pid) && !is_kept(pid) && pins_of(pid).is_empty());
    drop(lines);
}

#[test]
fn root_route_that_is_killed_leaves_no_command_and_the_next_demo_removes_the_rest() {
    let (mut killed, lines, _) = until(&["route"], WEIGH);
    drop(lines);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while is_kept(killed.id()) {
        assert!(Instant::now() < deadline, "the policy is still kept");
    }
    assert!(demo(&["--json"]).status().unwrap().success());
    assert!(!left_behind(killed.id()) && pins_of(killed.id()).is_empty());
}

#[test]
fn root_route_that_loses_requests_fails() {
    let (mut child, mut lines, _) = until(&["route"], WEIGH);
    let client = format!("xdpilot-demo-{}-client", child.id());
    let ip = |words: &str| {
        let line = format!("netns exec {client} {words}");
        Command::new("ip").args(line.split(' ')).output().unwrap().status.success()
    };
    // There is no way for so long as this takes: the client's visits are many more.
    assert!(ip("ip route add prohibit 10.9.9.9"));
    (0..10).for_each(|_| assert!(!ip("curl -s http://10.9.9.9/")));
    assert!(ip("ip route del prohibit 10.9.9.9"));
    let mut told = String::new();
    lines.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    assert!(
        told.contains("NOT AS EXPECTED") && told.contains(" requests were lost that should not have been; "),
        "{told}"
    );
    assert!(!left_behind(child.id()) && !is_kept(child.id()));
}
