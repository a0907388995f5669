#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	int value;
	asm volatile("%1 += 4; %0 = *(u32 *)(%1 + 0);" : "=r"(value), "+r"(ctx));
	return value;
}
char LICENSE[] SEC("license") = "GPL";
