// The smallest program: nothing to relocate, no map.
#include <linux/bpf.h>

__attribute__((section("xdp"), used)) int dropper(struct xdp_md *ctx) { return XDP_DROP; }

char _license[] __attribute__((section("license"), used)) = "GPL";
