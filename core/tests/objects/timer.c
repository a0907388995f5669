#include "common.h"
struct bpf_timer { u64 opaque[2]; } __attribute__((aligned(8)));
struct value { struct bpf_timer timer; u64 fired; };
struct { __uint(type, ARRAY); __type(key, u32); __type(value, struct value); __uint(max_entries, 1); } timers SEC(".maps");
static long (*const timer_init)(struct bpf_timer *timer, void *map, u64 flags) = (void *)169;
static long (*const timer_set_callback)(struct bpf_timer *timer, void *callback) = (void *)170;
static long (*const timer_start)(struct bpf_timer *timer, u64 ns, u64 flags) = (void *)171;
static int fire(void *map, u32 *key, struct value *value) { value->fired += 1; return 0; }
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 key = 0;
	struct value *value = map_lookup(&timers, &key);
	if (!value)
		return XDP_ABORTED;
	timer_init(&value->timer, &timers, 1);
	timer_set_callback(&value->timer, fire);
	return timer_start(&value->timer, 1000000000, 0) ? XDP_PASS : XDP_DROP;
}
char _license[] SEC("license") = "GPL";
