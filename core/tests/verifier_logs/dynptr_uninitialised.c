#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct bpf_dynptr dynptr = {};
	char room[4];
	bpf_dynptr_read(room, 4, &dynptr, 0, 0);
	return room[0];
}
char LICENSE[] SEC("license") = "GPL";
