#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	asm volatile("r1 = r10; w1 += 4;" ::: "r1");
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
