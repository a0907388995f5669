#include "common.h"
static long (*const strncmp)(const char *text, u32 size, const char *other) = (void *)182;
SEC("xdp") int entry(struct xdp_md *ctx)
{
	char text[8] = "alpha";
	return strncmp(text, 8, "alpha") == 0 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
