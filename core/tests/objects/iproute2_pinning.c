#include "iproute2.h"
struct bpf_elf_map SEC("maps") hits = { .type = ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = PIN_NONE };
struct bpf_elf_map SEC("maps") mine = { .type = ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = PIN_OBJECT };
struct bpf_elf_map SEC("maps") ours = { .type = ARRAY, .size_key = 4, .size_value = 8, .max_elem = 1, .pinning = PIN_GLOBAL };
SEC("prog") int entry(struct xdp_md *ctx)
{
	return count(&hits, 0) + count(&mine, 0) + count(&ours, XDP_DROP);
}
char _license[] SEC("license") = "GPL";
