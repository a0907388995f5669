// Passes every packet on to the network stack, as if no program were there.
//
// A veth interface takes packets that its peer sends by XDP_TX only while it has an XDP program of
// its own, and those of XDP_REDIRECT while it has one or GRO: this program is enough.
//
//     xdpilot load examples/pass.c --on eth0

#include <linux/bpf.h>

// Puts a function into the ELF section of that name; "xdp" tells loaders what kind of program it is.
#define SEC(name) __attribute__((section(name), used))

SEC("xdp")
int pass(struct xdp_md *ctx) { return XDP_PASS; }

// The license is checked when a program calls helpers that the kernel keeps for GPL programs.
char _license[] SEC("license") = "Dual MIT/GPL";
