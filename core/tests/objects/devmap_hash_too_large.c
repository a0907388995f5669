#include "common.h"
struct { __uint(type, DEVMAP_HASH); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 0xf0000000); } ports SEC(".maps");
SEC("xdp") int entry(struct xdp_md *ctx) { return redirect_map(&ports, 0, XDP_DROP); }
char _license[] SEC("license") = "GPL";
