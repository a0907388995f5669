#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct net_device {
	int no_such_field;
} __attribute__((preserve_access_index));

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return ((struct net_device *)(long)ctx->data)->no_such_field;
}
char LICENSE[] SEC("license") = "GPL";
