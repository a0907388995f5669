#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	char room[64];
	bpf_xdp_load_bytes(ctx, 0, room, ctx->rx_queue_index);
	return room[0];
}
char LICENSE[] SEC("license") = "GPL";
