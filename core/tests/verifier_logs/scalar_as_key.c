#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, long);
} hits SEC(".maps");

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return bpf_map_lookup_elem(&hits, (void *)5) ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
