#include "common.h"
struct map { u32 type, key_size, value_size, max_entries;  };
_Static_assert(sizeof(struct map) == 16, "size");
struct map SEC("maps") hits = { .type = ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1 };
struct map SEC("maps") other = { .type = HASH, .key_size = 4, .value_size = 8, .max_entries = 16 };
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 key = 7; u64 value = 3;
	return map_update(&other, &key, &value, 0) ? XDP_ABORTED : count(&hits, XDP_DROP);
}
char _license[] SEC("license") = "GPL";
