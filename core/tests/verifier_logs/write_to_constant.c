#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile int limit = 7;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	*(volatile int *)&limit = 8;
	return XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
