// Sends packets back to where they came from (XDP_TX), before the host ever sees them.
//
// UDP over IPv4 returns to its sender with the payload untouched; an ICMP echo request returns as
// its reply, so the host seems to answer pings. Everything else passes: ARP must, or nobody would
// find the way here. Fragments and packets with IP options pass too.
//
// On a veth interface the peer takes such packets only while it has a program (pass.c).
//
//     xdpilot load examples/bounce.c --on eth0

#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <asm/byteorder.h>

#define SEC(name) __attribute__((section(name), used))
#define swap(a, b) do { __typeof__(a) t = (a); (a) = (b); (b) = t; } while (0)

// More fragments follow, or this is not the first one (RFC 791): no UDP or ICMP header to trust.
#define IP_FRAGMENT __constant_htons(0x3fff)

static __always_inline void swap_macs(struct ethhdr *eth)
{
	// Halves of two bytes: the header is only sure to be aligned to two.
	__u16 *to = (__u16 *)eth->h_dest, *from = (__u16 *)eth->h_source;

	swap(to[0], from[0]);
	swap(to[1], from[1]);
	swap(to[2], from[2]);
}

// An echo request becomes its reply. The type falls from 8 to 0, so the ones' complement checksum
// rises by 8 in its first byte, with the carry brought round (RFC 1624).
static __always_inline void answer_echo(struct icmphdr *icmp)
{
	__u32 sum = icmp->checksum + __constant_htons(ICMP_ECHO << 8);

	icmp->checksum = sum + (sum >> 16);
	icmp->type = ICMP_ECHOREPLY;
}

SEC("xdp")
int bounce(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != __constant_htons(ETH_P_IP))
		return XDP_PASS;
	if (ip->ihl != 5 || ip->frag_off & IP_FRAGMENT)
		return XDP_PASS;

	if (ip->protocol == IPPROTO_UDP) {
		struct udphdr *udp = (void *)(ip + 1);

		if ((void *)(udp + 1) > end)
			return XDP_PASS;
		swap(udp->source, udp->dest);
		// A sender on the same machine leaves the sum to hardware that this packet never meets;
		// over IPv4 zero means "none" (RFC 768).
		udp->check = 0;
	} else if (ip->protocol == IPPROTO_ICMP) {
		struct icmphdr *icmp = (void *)(ip + 1);

		if ((void *)(icmp + 1) > end || icmp->type != ICMP_ECHO)
			return XDP_PASS;
		answer_echo(icmp);
	} else {
		return XDP_PASS;
	}

	// Swapping does not change the IP header's checksum: the same words are summed.
	swap(ip->saddr, ip->daddr);
	swap_macs(eth);
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
