#include "common.h"
struct sk_buff_like { u32 len; };
SEC("kprobe/no_such_function_anywhere") int traced(void *ctx) { return 0; }
SEC("fentry/no_such_function_anywhere") int entered(u64 *ctx) { return 0; }
SEC("classifier") int shaped(struct sk_buff_like *skb) { return skb->len; }
SEC("xdp") int entry(struct xdp_md *ctx) { return XDP_DROP; }
char _license[] SEC("license") = "GPL";
