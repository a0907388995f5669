#include "common.h"
struct { __uint(type, RINGBUF); __uint(max_entries, 4096); } ring SEC(".maps");
static void *(*const reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const submit)(void *data, u64 flags) = (void *)132;
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 *room = reserve(&ring, 4, 0);
	if (!room)
		return XDP_ABORTED;
	*room = 1;
	submit(room, 0);
	return XDP_DROP;
}
char _license[] SEC("license") = "GPL";
