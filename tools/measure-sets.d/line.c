// What any set of that size waits for: one line of an array of LINES, another for each address, and a bit that nobody can
// foresee decides. Of IPv6 where V6 says so.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#ifdef V6
#define TYPE ETH_P_IPV6
#define SOURCE 22
#define WORDS 2
#else
#define TYPE ETH_P_IP
#define SOURCE 26
#define WORDS 1
#endif

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LINES);
	__type(key, __u32);
	__type(value, __u64[8]);
} lines SEC(".maps");

SEC("xdp")
int filter(struct xdp_md *ctx) {
	__u8 *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	__u32 *address = (void *)(data + SOURCE), hash = 0, index;
	__u64 *line;

	if (data + SOURCE + 4 * WORDS > data_end || ((struct ethhdr *)data)->h_proto != bpf_htons(TYPE))
		return XDP_PASS;
	for (int word = 0; word < WORDS; word++)
		hash = (hash ^ address[word]) * 0x9e3779b1;
	index = (hash >> 8) % LINES;
	line = bpf_map_lookup_elem(&lines, &index);
	return line && (line[hash & 7] ^ hash >> 3) & 1 ? XDP_DROP : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
