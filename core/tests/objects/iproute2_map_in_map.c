#include "iproute2.h"
struct bpf_elf_map SEC("maps") inner = { .type = ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .id = 42, .inner_idx = 3 };
struct bpf_elf_map SEC("maps") outer = { .type = ARRAY_OF_MAPS, .size_key = 4, .size_value = 4, .max_elem = 4, .inner_id = 42 };
SEC("prog") int entry(struct xdp_md *ctx)
{
	u32 key = 3;
	void *found = map_lookup(&outer, &key);
	return found ? count(found, XDP_DROP) : XDP_ABORTED;
}
char _license[] SEC("license") = "GPL";
