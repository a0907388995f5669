#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	char room[64];
	long length = (int)ctx->rx_queue_index;
	if (length > 64)
		return XDP_PASS;
	bpf_xdp_load_bytes(ctx, 0, room, length);
	return room[0];
}
char LICENSE[] SEC("license") = "GPL";
