#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int bpf_no_such_kfunc(struct xdp_md *ctx) __ksym __weak;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return bpf_no_such_kfunc(ctx);
}
char LICENSE[] SEC("license") = "GPL";
