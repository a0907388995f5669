#include "common.h"
struct inner { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 1); } inner SEC(".maps");
struct {
	__uint(type, ARRAY_OF_MAPS); __type(key, u32); __uint(max_entries, 4); __array(values, struct inner);
} outer SEC(".maps") = { .values = { [2] = &inner } };
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 key = 2;
	void *found = map_lookup(&outer, &key);
	return found ? count(found, XDP_DROP) : XDP_ABORTED;
}
char _license[] SEC("license") = "GPL";
