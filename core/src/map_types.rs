//! The kernel's map types: names by number, and the Linux version that brought each
//! (`enum bpf_map_type`, include/uapi/linux/bpf.h).

/// Name as bpftool prints it, version. The first is type 1.
const TYPES: [(&str, &str); 33] = [
    ("hash", "3.19"),
    ("array", "3.19"),
    ("prog_array", "4.2"),
    ("perf_event_array", "4.3"),
    ("percpu_hash", "4.6"),
    ("percpu_array", "4.6"),
    ("stack_trace", "4.6"),
    ("cgroup_array", "4.8"),
    ("lru_hash", "4.10"),
    ("lru_percpu_hash", "4.10"),
    ("lpm_trie", "4.11"),
    ("array_of_maps", "4.12"),
    ("hash_of_maps", "4.12"),
    ("devmap", "4.14"),
    ("sockmap", "4.14"),
    ("cpumap", "4.15"),
    ("xskmap", "4.18"),
    ("sockhash", "4.18"),
    ("cgroup_storage", "4.19"),
    ("reuseport_sockarray", "4.19"),
    ("percpu_cgroup_storage", "4.20"),
    ("queue", "4.20"),
    ("stack", "4.20"),
    ("sk_storage", "5.2"),
    ("devmap_hash", "5.4"),
    ("struct_ops", "5.6"),
    ("ringbuf", "5.8"),
    ("inode_storage", "5.10"),
    ("task_storage", "5.11"),
    ("bloom_filter", "5.16"),
    ("user_ringbuf", "6.1"),
    ("cgrp_storage", "6.2"),
    ("arena", "6.9"),
];

/// The name as bpftool prints it; `type N` where it is not known.
pub fn name(number: u32) -> String {
    row(number).map_or_else(|| format!("type {number}"), |(name, _)| (*name).to_string())
}

/// The first Linux version that has it: `5.8`.
pub fn version(number: u32) -> Option<&'static str> {
    row(number).map(|(_, version)| *version)
}

fn row(number: u32) -> Option<&'static (&'static str, &'static str)> {
    TYPES.get((number as usize).checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_the_kernels() {
        assert_eq!((name(6), version(6)), ("percpu_array".to_string(), Some("4.6")));
        assert_eq!((name(27), version(27)), ("ringbuf".to_string(), Some("5.8")));
        assert_eq!((name(33), version(33)), ("arena".to_string(), Some("6.9")));
        assert_eq!((name(0), version(0), name(99)), ("type 0".to_string(), None, "type 99".to_string()));
    }
}
