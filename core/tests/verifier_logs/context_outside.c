#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return *(unsigned int *)((char *)ctx + 100);
}
char LICENSE[] SEC("license") = "GPL";
