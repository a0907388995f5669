#include "common.h"
__attribute__((noinline)) static int verdict(u32 length) { return length > 1 ? XDP_DROP : XDP_TX; }
int dropper(struct xdp_md *ctx) { return verdict(ctx->data_end - ctx->data); }
char _license[] SEC("license") = "GPL";
