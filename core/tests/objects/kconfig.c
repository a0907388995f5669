#include "common.h"
extern int LINUX_KERNEL_VERSION __attribute__((section(".kconfig")));
extern _Bool CONFIG_NO_SUCH_THING_ANYWHERE __attribute__((section(".kconfig"), weak));
SEC("xdp") int entry(struct xdp_md *ctx)
{
	return LINUX_KERNEL_VERSION > 0x40000 && !CONFIG_NO_SUCH_THING_ANYWHERE ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
