#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	volatile char room[16] = {};
	room[ctx->rx_queue_index] = 1;
	return room[3];
}
char LICENSE[] SEC("license") = "GPL";
