#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct counter {
	struct bpf_spin_lock lock;
	long count;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, struct counter);
} counters SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	int key = 0;
	struct counter *counter = bpf_map_lookup_elem(&counters, &key);
	if (!counter)
		return XDP_PASS;
	bpf_spin_lock(&counter->lock);
	counter->count = bpf_ktime_get_ns();
	bpf_spin_unlock(&counter->lock);
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
