// drop when src host A and tcp dst port P, for each pair that rules.h has. CHAIN compares one after the other, else a
// switch over the addresses is left to the compiler. COUNT counts packets and bytes.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "count.h"

#define DEFAULT RULES

static __always_inline int rule_of(__u32 source, __u16 port) {
#ifdef CHAIN
#define RULE(index, address, number) \
	if (source == bpf_htonl(address) && port == bpf_htons(number)) \
		return index;
#include "rules.h"
	return DEFAULT;
#else
#define RULE(index, address, number) \
	case bpf_htonl(address): \
		return port == bpf_htons(number) ? index : DEFAULT;
	switch (source) {
#include "rules.h"
	}
	return DEFAULT;
#endif
}

static __always_inline int find(void *data, void *data_end) {
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	if ((void *)(ip + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return DEFAULT;
	if (ip->protocol != IPPROTO_TCP || ip->frag_off & bpf_htons(0x1fff))
		return DEFAULT;
	__u16 *ports = (void *)ip + ip->ihl * 4;
	if ((void *)(ports + 2) > data_end)
		return DEFAULT;
	return rule_of(ip->saddr, ports[1]);
}

SEC("xdp")
int filter(struct xdp_md *ctx) {
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	int rule = find(data, data_end);
	count(rule, data_end - data);
	return rule == DEFAULT ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
