// drop when udp, as it is written by hand: IPv4, IPv6, and the header of IPv6 fragments. COUNT counts packets and bytes.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "count.h"

static __always_inline int verdict(void *data, void *data_end) {
	struct ethhdr *eth = data;
	if ((void *)(eth + 1) > data_end)
		return XDP_PASS;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);
		if ((void *)(ip + 1) > data_end)
			return XDP_PASS;
		return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
	}
	if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip6 = (void *)(eth + 1);
		if ((void *)(ip6 + 1) > data_end)
			return XDP_PASS;
		if (ip6->nexthdr == IPPROTO_UDP)
			return XDP_DROP;
		if (ip6->nexthdr == IPPROTO_FRAGMENT) {
			__u8 *next = (void *)(ip6 + 1);
			if ((void *)(next + 1) > data_end)
				return XDP_PASS;
			return *next == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
		}
	}
	return XDP_PASS;
}

SEC("xdp")
int filter(struct xdp_md *ctx) {
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	int found = verdict(data, data_end);
	count(found == XDP_DROP ? 0 : 1, data_end - data);
	return found;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
