#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	long (*nonesuch)(void) = (void *)9999;
	return nonesuch();
}
char LICENSE[] SEC("license") = "GPL";
