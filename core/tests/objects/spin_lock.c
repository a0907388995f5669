#include "common.h"
struct bpf_spin_lock { u32 value; };
struct value { struct bpf_spin_lock lock; u32 runs; };
struct { __uint(type, ARRAY); __type(key, u32); __type(value, struct value); __uint(max_entries, 1); } guarded SEC(".maps");
static long (*const lock)(struct bpf_spin_lock *lock) = (void *)93;
static long (*const unlock)(struct bpf_spin_lock *lock) = (void *)94;
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 key = 0;
	struct value *value = map_lookup(&guarded, &key);
	if (!value)
		return XDP_ABORTED;
	lock(&value->lock);
	value->runs += 1;
	unlock(&value->lock);
	return XDP_DROP;
}
char _license[] SEC("license") = "GPL";
