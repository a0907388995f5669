#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

static __noinline int f9(struct xdp_md *ctx, volatile int x) { return x + ctx->rx_queue_index; }
static __noinline int f8(struct xdp_md *ctx, volatile int x) { return f9(ctx, x + 1) + 1; }
static __noinline int f7(struct xdp_md *ctx, volatile int x) { return f8(ctx, x + 1) + 1; }
static __noinline int f6(struct xdp_md *ctx, volatile int x) { return f7(ctx, x + 1) + 1; }
static __noinline int f5(struct xdp_md *ctx, volatile int x) { return f6(ctx, x + 1) + 1; }
static __noinline int f4(struct xdp_md *ctx, volatile int x) { return f5(ctx, x + 1) + 1; }
static __noinline int f3(struct xdp_md *ctx, volatile int x) { return f4(ctx, x + 1) + 1; }
static __noinline int f2(struct xdp_md *ctx, volatile int x) { return f3(ctx, x + 1) + 1; }
static __noinline int f1(struct xdp_md *ctx, volatile int x) { return f2(ctx, x + 1) + 1; }
SEC("xdp") int prog(struct xdp_md *ctx)
{
	return f1(ctx, 1);
}
char LICENSE[] SEC("license") = "GPL";
