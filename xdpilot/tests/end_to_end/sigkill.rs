//! A command that is killed leaves nothing that the next one does not clean.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::command::{XDPILOT, unload, xdpilot};
use crate::net::{Pair, unique};
use crate::programs::build;

const ROUNDS: u64 = 120;

/// It asks for all that loading can change: a pin of its author's, a program array, and a companion at the other end.
fn source(map: &str) -> String {
    format!(
        r#"
struct elf_map SEC("maps") {map} = {{
    .type = BPF_MAP_TYPE_ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = 2,
}};
struct elf_map SEC("maps") {map}j = {{
    .type = BPF_MAP_TYPE_PROG_ARRAY, .size_key = 4, .size_value = 4, .max_elem = 1, .id = 1,
}};
SEC("1/0") int jumped(struct xdp_md *ctx) {{ __u32 key = 0; return lookup(&{map}, &key) ? XDP_TX : XDP_DROP; }}
SEC("xdp") int jumper(struct xdp_md *ctx)
{{
    __u32 key = 0;
    lookup(&{map}, &key);
    tail_call(ctx, &{map}j, 0);
    return XDP_PASS;
}}
"#
    )
}

/// Numbers without a pattern, the same in each run (Knuth's MMIX generator).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Runs the command and kills it after this time; whether it was still running.
fn killed(words: &[&str], after: Duration) -> bool {
    let mut child = Command::new(XDPILOT).args(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap().code().is_none()
}

/// What is left of programs with maps of this name.
fn left(pair: &Pair, map: &str) -> Vec<String> {
    let mut left = Vec::new();
    left.extend(pair.xdp().map(|xdp| format!("{xdp:?}")));
    left.extend(pair.near.xdp("near0").map(|_| "a companion".to_string()));
    let pin = Path::new("/sys/fs/bpf/tc/globals").join(map);
    left.extend(pin.exists().then(|| pin.display().to_string()));
    for entry in std::fs::read_dir("/sys/fs/bpf/xdpilot").into_iter().flatten().flatten() {
        let path = entry.path();
        let link = format!("link-{}-{}", pair.far.namespace.inode(), pair.far.interface("eth0").index);
        if entry.file_name() == link.as_str() || path.join(format!("{map}j")).exists() {
            left.push(path.display().to_string());
        }
    }
    left
}

#[test]
fn root_killed_commands_leave_nothing_to_the_next_one() {
    let pair = Pair::new();
    let (map, target) = (unique(), pair.target());
    let object = build(&source(&map));
    let load = ["load", object.path.to_str().unwrap(), "--on", &target, "--program", "jumper"];
    let replace = [&load[..], &["--replace"]].concat();
    let end = ["unload", "--on", &target];
    let start = Instant::now();
    assert_eq!(xdpilot(&load).code, Some(0));
    let whole = start.elapsed();
    assert_eq!(left(&pair, &map).len(), 5, "the program does not ask for all that it should");

    let mut random = Random(0x5EED);
    let mut hits = 0;
    for round in 0..ROUNDS {
        let words = [&load[..], &replace, &end][random.below(3) as usize];
        if words[0] == "unload" || words.last() == Some(&"--replace") {
            xdpilot(&load);
        }
        let after = whole.mul_f64(random.below(1000) as f64 / 1000.0);
        hits += u32::from(killed(words, after));
        unload(&target);
        let left = left(&pair, &map);
        assert!(left.is_empty(), "round {round}, {words:?} killed after {after:?}: {left:?}");
    }
    assert!(hits > 50, "only {hits} were killed while they ran");
    pair.assert_flows();
}
