// Makes each frame that the kernel's test run hands to it the next one of the trace, and sends it through an interface.
// FRAMES is a power of two. With FRESH the frames of the second pass come from other clients, those of the third from
// others again: every frame is a new connection.
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
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

#ifdef FRESH
// Where IPv4 and TCP without options have them in a frame without tags.
#define IP_CHECKSUM 24
#define SOURCE 26
#define TCP_CHECKSUM 50

// Another word of the packet's (RFC 1624, equation 3).
static void mend(__u16 *checksum, __u32 before, __u32 after) {
	__u32 sum = (__u16)~*checksum + (__u16)~before + (__u16)~(before >> 16) + (__u16)after + (after >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	*checksum = ~sum;
}

static void renew(struct frame *frame, __u32 pass) {
	void *at = frame;
	__u16 *source = at + SOURCE;
	__u32 before = source[0] | (__u32)source[1] << 16, after = bpf_htonl(bpf_ntohl(before) + pass);
	source[0] = after;
	source[1] = after >> 16;
	mend(at + IP_CHECKSUM, before, after);
	mend(at + TCP_CHECKSUM, before, after);
}
#endif

SEC("xdp")
int send(struct xdp_md *ctx) {
	struct frame *to = (void *)(long)ctx->data;
	if ((void *)(to + 1) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	__u32 zero = 0;
	struct state *now = bpf_map_lookup_elem(&state, &zero);
	if (!now)
		return XDP_ABORTED;
	__u32 sent = now->sent++, at = sent % FRAMES;
	struct frame *from = bpf_map_lookup_elem(&trace, &at);
	if (!from)
		return XDP_ABORTED;
	*to = *from;
#ifdef FRESH
	renew(to, sent / FRAMES);
#endif
	return bpf_redirect(now->interface, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
