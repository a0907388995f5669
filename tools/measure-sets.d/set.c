// drop when src in a set, as it is written by hand: of IPv4 by the kernel's trie, or by its hash where HASH says so; of
// IPv6 by its trie where V6 says so.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifdef V6
#define TYPE ETH_P_IPV6
#define SOURCE 22
#define SIZE 16
#else
#define TYPE ETH_P_IP
#define SOURCE 26
#define SIZE 4
#endif

struct key {
#ifndef HASH
	__u32 length;
#endif
	__u8 address[SIZE];
};

struct {
#ifdef HASH
	__uint(type, BPF_MAP_TYPE_HASH);
#else
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
#endif
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1000000);
	__type(key, struct key);
	__type(value, __u32);
} elements SEC(".maps");

SEC("xdp")
int filter(struct xdp_md *ctx) {
	__u8 *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct key key;

	if (data + SOURCE + SIZE > data_end || ((struct ethhdr *)data)->h_proto != bpf_htons(TYPE))
		return XDP_PASS;
#ifndef HASH
	key.length = 8 * SIZE;
#endif
	__builtin_memcpy(key.address, data + SOURCE, SIZE);
	return bpf_map_lookup_elem(&elements, &key) ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
