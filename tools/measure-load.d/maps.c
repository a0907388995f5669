// A small packet filter: five maps, global data, a subprogram, IPv4 and IPv6.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <asm/byteorder.h>

#define SEC(name) __attribute__((section(name), used))

static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static __u64 (*now)(void) = (void *)5;

struct count { __u64 packets, bytes; };
struct prefix { __u32 length, address; };
struct flow { __u32 source, destination; __u16 from, to; __u32 protocol; };

struct {
	int (*type)[BPF_MAP_TYPE_LPM_TRIE];
	struct prefix *key;
	__u32 *value;
	int (*max_entries)[10000];
	int (*map_flags)[BPF_F_NO_PREALLOC];
} blocked SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_HASH];
	__u16 *key;
	__u32 *value;
	int (*max_entries)[1024];
} ports SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_LRU_HASH];
	struct flow *key;
	__u64 *value;
	int (*max_entries)[1024];
} flows SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_ARRAY];
	__u32 *key;
	struct count *value;
	int (*max_entries)[256];
} counts SEC(".maps");

struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_HASH];
	__u32 *key;
	struct count *value;
	int (*max_entries)[1024];
} sources SEC(".maps");

const volatile __u32 action = XDP_DROP;
__u64 seen;

static __attribute__((noinline)) int count(__u32 protocol, __u64 bytes)
{
	__u32 key = protocol & 255;
	struct count *count = lookup(&counts, &key);

	if (!count)
		return 0;
	count->packets++;
	count->bytes += bytes;
	return 1;
}

static __attribute__((always_inline)) int ipv4(struct iphdr *ip, void *end)
{
	struct prefix prefix = { .length = 32, .address = ip->saddr };
	struct flow flow = { .source = ip->saddr, .destination = ip->daddr, .protocol = ip->protocol };
	struct udphdr *udp = (void *)(ip + 1);
	struct count first = { 1, __constant_ntohs(ip->tot_len) }, *known;
	__u64 time = now();

	if (lookup(&blocked, &prefix))
		return action;
	known = lookup(&sources, &flow.source);
	if (known)
		known->packets++;
	else
		update(&sources, &flow.source, &first, 0);
	if (ip->ihl == 5 && (ip->protocol == IPPROTO_UDP || ip->protocol == IPPROTO_TCP)) {
		if ((void *)(udp + 1) > end)
			return XDP_PASS;
		flow.from = udp->source;
		flow.to = udp->dest;
		if (lookup(&ports, &flow.to))
			return action;
	}
	update(&flows, &flow, &time, 0);
	return XDP_PASS;
}

SEC("xdp")
int filter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	seen++;
	if ((void *)(eth + 1) > end)
		return XDP_PASS;
	if (eth->h_proto == __constant_htons(ETH_P_IP) && (void *)(ip + 1) <= end) {
		count(ip->protocol, end - data);
		return ipv4(ip, end);
	}
	if (eth->h_proto == __constant_htons(ETH_P_IPV6) && (void *)(ip6 + 1) <= end)
		count(ip6->nexthdr, end - data);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
