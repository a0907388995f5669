// Packets and bytes by rule, where COUNT is the number of rules, the default among them; else nothing.
#ifdef COUNT
struct hits {
	__u64 packets, bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT);
	__type(key, __u32);
	__type(value, struct hits);
} rules SEC(".maps");
#endif

static __always_inline void count(__u32 rule, __u64 bytes) {
#ifdef COUNT
	struct hits *hits = bpf_map_lookup_elem(&rules, &rule);
	if (hits) {
		hits->packets++;
		hits->bytes += bytes;
	}
#endif
}
