//! What a program keeps in maps works on after the command has ended.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use xdpilot_kernel::program::ProgramInfo;

use crate::command::{id, load, unload};
use crate::net::{FAR, LOST, PATIENCE, Pair, arrives};
use crate::programs::{TAIL_CALL, build};

/// Where the maps of the program in this answer are kept.
fn kept(answer: &Value) -> PathBuf {
    Path::new("/sys/fs/bpf/xdpilot").join(format!("maps-{}", id(answer)))
}

/// The kernel frees a program a moment after its last holder is gone: an RCU grace period and a work queue.
fn assert_goes(program: u32) {
    let start = Instant::now();
    while ProgramInfo::of_id(program).unwrap().is_some() {
        assert!(start.elapsed() < PATIENCE, "program {program} stays");
        std::thread::yield_now();
    }
}

#[test]
fn root_a_tail_call_reaches_its_target() {
    let pair = Pair::new();
    let object = build(TAIL_CALL);
    for more in [&["--program", "first"][..], &["--program", "first", "--bare"]] {
        let answer = load(&object.path, &pair.target(), more);
        assert!(kept(&answer).join("jumps").exists());
        pair.assert_dropped();
        unload(&pair.target());
        assert!(!kept(&answer).exists());
        assert_goes(id(&answer));
        pair.assert_flows();
    }
}

#[test]
fn root_a_replacement_removes_the_maps_of_the_one_before() {
    let pair = Pair::new();
    let object = build(TAIL_CALL);
    let first = load(&object.path, &pair.target(), &["--program", "first"]);
    let second = load(&object.path, &pair.target(), &["--program", "first", "--replace"]);
    assert!(!kept(&first).exists() && kept(&second).exists());
    pair.assert_dropped();
    assert_goes(id(&first));
    unload(&pair.target());
}

#[test]
fn root_the_kept_maps_of_a_vanished_interface_are_swept() {
    let (pair, other) = (Pair::new(), Pair::new());
    let object = build(TAIL_CALL);
    let answer = load(&object.path, &pair.target(), &["--program", "first"]);
    drop(pair);
    unload(&other.target());
    // The namespace goes a moment after its name; each command sweeps.
    let start = Instant::now();
    while kept(&answer).exists() {
        assert!(start.elapsed() < PATIENCE, "{} stays", kept(&answer).display());
        unload(&other.target());
    }
    assert_goes(id(&answer));
}

/// It calls itself until the kernel stops it: the program array, which is kept for the program, keeps the program.
#[test]
fn root_a_program_in_its_own_program_array_goes_too() {
    let (pair, other) = (Pair::new(), Pair::new());
    let object = build(
        r#"
int again(struct xdp_md *ctx);
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __uint(key_size, 4);
    __array(values, int(void *));
} jumps SEC(".maps") = { .values = { [0] = (void *)&again } };
SEC("xdp") int again(struct xdp_md *ctx) { tail_call(ctx, &jumps, 0); return XDP_DROP; }
"#,
    );
    let answer = load(&object.path, &pair.target(), &[]);
    pair.assert_dropped();
    unload(&pair.target());
    assert_goes(id(&answer));

    let answer = load(&object.path, &pair.target(), &[]);
    std::fs::remove_file(answer["link"].as_str().unwrap()).unwrap();
    let start = Instant::now();
    while kept(&answer).exists() {
        assert!(start.elapsed() < PATIENCE, "{} stays", kept(&answer).display());
        unload(&other.target());
    }
    assert_goes(id(&answer));
}

#[test]
fn root_a_timer_fires_after_the_command_ended() {
    let pair = Pair::new();
    let object = build(
        r#"
struct state { struct bpf_timer timer; int started, fired; };
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct state);
} states SEC(".maps");
static int fire(void *map, __u32 *key, struct state *state) { state->fired = 1; return 0; }
SEC("xdp") int drops_after_the_timer(struct xdp_md *ctx)
{
    __u32 key = 0;
    struct state *state = lookup(&states, &key);
    if (!state) return XDP_ABORTED;
    if (!state->started) {
        state->started = 1;
        if (timer_init(&state->timer, &states, 1)) return XDP_ABORTED;
        timer_set_callback(&state->timer, fire);
        timer_start(&state->timer, 1000000, 0);
        return XDP_PASS;
    }
    return state->fired ? XDP_DROP : XDP_PASS;
}
"#,
    );
    load(&object.path, &pair.target(), &[]);
    assert!(arrives(&pair.near, &pair.far, FAR, PATIENCE), "the timer could not be started");
    let start = Instant::now();
    while arrives(&pair.near, &pair.far, FAR, LOST) {
        assert!(start.elapsed() < PATIENCE, "the timer does not fire");
    }
    unload(&pair.target());
    pair.assert_flows();
}
