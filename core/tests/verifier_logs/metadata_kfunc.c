#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int bpf_xdp_metadata_rx_timestamp(const struct xdp_md *ctx, __u64 *timestamp) __ksym;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	__u64 timestamp = 0;
	return bpf_xdp_metadata_rx_timestamp(ctx, &timestamp);
}
char LICENSE[] SEC("license") = "GPL";
