#include "iproute2.h"
struct bpf_elf_map SEC("maps") events = { .type = PERF_EVENT_ARRAY, .size_key = 4, .size_value = 4 };
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 data = 1;
	/* No reader: ENOENT, or EINVAL outside of its range. */
	return perf_event_output(ctx, &events, 0, &data, 4) == -2 ? XDP_DROP : XDP_ABORTED;
}
char _license[] SEC("license") = "GPL";
