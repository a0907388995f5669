#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, long[4]);
} table SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	int key = 0;
	long *value = bpf_map_lookup_elem(&table, &key);
	if (!value)
		return XDP_PASS;
	return value[ctx->rx_queue_index];
}
char LICENSE[] SEC("license") = "GPL";
