#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *end = (void *)(long)ctx->data_end;
	if (data + 4 > end)
		return XDP_PASS;
	unsigned char *payload = data + *(unsigned int *)data;
	if (payload + 1 > end)
		return XDP_PASS;
	return *payload;
}
char LICENSE[] SEC("license") = "GPL";
