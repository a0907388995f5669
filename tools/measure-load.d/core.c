// CO-RE: an offset and a test of the running kernel's types, which the loader has to parse for it.
#include <linux/bpf.h>

#define SEC(name) __attribute__((section(name), used))

struct net_device {
	int ifindex;
	unsigned int mtu;
} __attribute__((preserve_access_index));

enum { FIELD_BYTE_OFFSET = 0, FIELD_EXISTS = 2 };

SEC("xdp")
int core(struct xdp_md *ctx)
{
	struct net_device *device = (void *)0;
	unsigned int offset = __builtin_preserve_field_info(device->mtu, FIELD_BYTE_OFFSET);

	if (!__builtin_preserve_field_info(device->ifindex, FIELD_EXISTS))
		return XDP_ABORTED;
	return ctx->data_end - ctx->data > offset + 1000000 ? XDP_DROP : XDP_PASS;
}

char _license[] SEC("license") = "GPL";
