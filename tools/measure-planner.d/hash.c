// drop when src host A and tcp dst port P, for RULES pairs: the kernel's hash map finds the pair. Packets and bytes are
// counted beside each pair, and those that have none as rule 0 of count.h.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define COUNT 1
#include "../measure-policy.d/count.h"

struct pair {
	__u32 source;
	__u16 port, zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, RULES);
	__type(key, struct pair);
	__type(value, struct hits);
} pairs SEC(".maps");

static __always_inline struct hits *find(void *data, void *data_end) {
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return 0;
	if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1fff))
		return 0;
	__u16 *ports = (void *)ip + ip->ihl * 4;
	if ((void *)(ports + 2) > data_end)
		return 0;
	struct pair pair = { .source = ip->saddr, .port = ports[1] };
	return bpf_map_lookup_elem(&pairs, &pair);
}

SEC("xdp")
int filter(struct xdp_md *ctx) {
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct hits *hits = find(data, data_end);
	if (!hits) {
		count(0, data_end - data);
		return XDP_PASS;
	}
	hits->packets++;
	hits->bytes += data_end - data;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
