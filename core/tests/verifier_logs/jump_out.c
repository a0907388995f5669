#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	asm volatile("goto +100;");
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
