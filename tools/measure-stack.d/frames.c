// Makes each frame that the kernel's test run hands to it the next one of the trace, and sends it through an interface.
// FRAMES is a power of two.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct frame {
	__u64 words[8];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FRAMES);
	__type(key, __u32);
	__type(value, struct frame);
} trace SEC(".maps");

// The interface, and the frames that were sent.
struct state {
	__u32 interface, sent;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct state);
} state SEC(".maps");

SEC("xdp")
int send(struct xdp_md *ctx) {
	struct frame *to = (void *)(long)ctx->data;
	if ((void *)(to + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__u32 zero = 0;
	struct state *now = bpf_map_lookup_elem(&state, &zero);
	if (!now)
		return XDP_ABORTED;
	__u32 at = now->sent++ % FRAMES;
	struct frame *from = bpf_map_lookup_elem(&trace, &at);
	if (!from)
		return XDP_ABORTED;
	*to = *from;
	return bpf_redirect(now->interface, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
