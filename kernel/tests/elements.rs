//! What is in maps: many elements at once, all keys, records of perf events.
// Helpers are test code too.
#![allow(clippy::expect_used)]

#[allow(dead_code, reason = "shared with other tests")]
mod common;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{HEAD, load_source};
use xdpilot_core::object::Shape;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;
use xdpilot_kernel::perf_buffer::{PerfBuffer, Taken};
use xdpilot_kernel::test_run::{TestRun, run as test_run};

fn maps() -> Loaded {
    let source = format!(
        "{HEAD}
        struct prefix {{ __u32 length; __u8 address[4]; }};
        struct {{
            __uint(type, BPF_MAP_TYPE_LPM_TRIE); __uint(max_entries, 5000); __uint(map_flags, 1);
            __type(key, struct prefix); __type(value, __u32);
        }} prefixes SEC(\".maps\");
        struct {{
            __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 5000); __type(key, __u32); __type(value, __u32);
        }} numbers SEC(\".maps\");
        struct {{
            __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY); __uint(key_size, 4); __uint(value_size, 4);
        }} records SEC(\".maps\");
        SEC(\"xdp\") int send(struct xdp_md *ctx) {{
            __u64 length = ctx->data_end - ctx->data;
            bpf_perf_event_output(ctx, &records, BPF_F_CURRENT_CPU, &length, sizeof(length));
            return bpf_map_lookup_elem(&prefixes, &length) || bpf_map_lookup_elem(&numbers, &length) ? 2 : 1;
        }}"
    );
    load_source(&source, "send")
}

fn prefix(number: u32) -> Vec<u8> {
    [&32u32.to_ne_bytes()[..], &number.to_be_bytes()].concat()
}

#[test]
fn root_thousands_of_elements_are_set_listed_and_removed() {
    let loaded = maps();
    for (name, key) in [("prefixes", prefix as fn(u32) -> Vec<u8>), ("numbers", |n| n.to_ne_bytes().to_vec())] {
        let map = loaded.map(name).expect("map");
        assert_eq!(map.next_key(None).expect("first"), None);
        let mut keys: Vec<Vec<u8>> = (0..5000).map(key).collect();
        map.update_all(keys.iter().map(|key| (&key[..], &[1, 0, 0, 0][..]))).expect("update");
        let mut seen = map.keys().expect("keys");
        keys.sort();
        seen.sort();
        assert!(keys == seen, "{name}: {} keys", seen.len());
        let more = [key(5000), key(5001)];
        let error = map.update_all(more.iter().map(|key| (&key[..], &[1, 0, 0, 0][..]))).expect_err("it is full");
        assert!(matches!(error.errno_value(), Some(7 | 28)), "{error}");
        let (some, missing) = (&keys[..1000], vec![key(70_000)]);
        assert_eq!(map.delete_all(some.iter().chain(&missing).map(Vec::as_slice)).expect("delete"), 1000);
        assert_eq!(map.keys().expect("keys").len(), 4000);
    }
}

#[test]
fn root_records_come_and_waiting_for_them_ends() {
    let loaded = maps();
    let mut buffer = PerfBuffer::new(loaded.map("records").expect("map")).expect("buffer");
    let began = Instant::now();
    assert_eq!(buffer.poll(Duration::from_millis(30)).expect("poll"), Taken::default());
    assert!(began.elapsed() >= Duration::from_millis(30));
    for length in [60, 61, 62] {
        let packet = vec![0; length];
        let test = TestRun { packet: &packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        test_run(loaded.entry(), &test).expect("run");
    }
    let mut lengths = Vec::new();
    while lengths.len() < 3 {
        let taken = buffer.poll(Duration::from_secs(10)).expect("poll");
        assert_eq!(taken.lost, 0);
        lengths.extend(taken.records.iter().map(|record| u64::from_ne_bytes(*record.first_chunk().expect("8 bytes"))));
    }
    lengths.sort_unstable();
    assert_eq!(lengths, [60, 61, 62]);
    assert_eq!(buffer.take().expect("take"), Taken::default());
    let error = PerfBuffer::new(loaded.map("numbers").expect("map")).expect_err("a hash");
    assert!(error.to_string().contains("no perf event array"), "{error}");
}

#[test]
fn root_what_is_stored_in_mapped_memory_is_in_the_map() {
    let shape = Shape { kind: 2, key_size: 4, value_size: 64, max_entries: 1000, flags: 1 << 10, ..Shape::default() };
    let map = Map::create("words", &shape).expect("map");
    let mapped = Mapped::new(&map).expect("memory");
    assert_eq!(mapped.words().len(), 8000);
    mapped.words()[8 * 999 + 1].store(0x1234, Ordering::Release);
    let value = map.lookup(&999u32.to_ne_bytes()).expect("lookup").expect("element");
    assert_eq!(value[8..16], 0x1234u64.to_ne_bytes());
    let mut value = vec![0; 64];
    value[0] = 7;
    map.update(&0u32.to_ne_bytes(), &value).expect("update");
    assert_eq!(mapped.words()[0].load(Ordering::Acquire).to_ne_bytes()[0], 7);
    let hidden = Map::create("hidden", &Shape { flags: 0, ..shape }).expect("map");
    let error = Mapped::new(&hidden).expect_err("it was not made for that");
    assert!(error.to_string().contains("map the memory of map hidden"), "{error}");
}
