#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	volatile unsigned int sum = 0;
	for (unsigned int i = 0; i < 1000000; i++)
		sum += i;
	return sum & 1 ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
