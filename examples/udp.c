// Drops UDP over IPv4 and IPv6, and passes everything else: DNS dies, the web stays.
//
// UDP is looked for right behind the Ethernet header and the IP header: UDP inside a VLAN tag, a
// tunnel or behind IPv6 extension headers passes. All fragments of an IPv4 datagram carry its
// protocol, so they are dropped like the rest of it.
//
//     xdpilot load examples/udp.c --on docker:web

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <asm/byteorder.h>

#define SEC(name) __attribute__((section(name), used))

SEC("xdp")
int udp(struct xdp_md *ctx)
{
	// The packet's bytes lie in [data, end). The verifier refuses any read that is not shown to end there.
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return XDP_PASS;

	if (eth->h_proto == __constant_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
	}
	if (eth->h_proto == __constant_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		return ip->nexthdr == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
	}
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
