#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 0);
	__type(key, int);
	__type(value, long);
} table SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	int key = 0;
	return bpf_map_lookup_elem(&table, &key) ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
