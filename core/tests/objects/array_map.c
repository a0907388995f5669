#include "common.h"
struct { __uint(type, ARRAY); __type(key, u32); __type(value, u64); __uint(max_entries, 1); } hits SEC(".maps");
SEC("xdp") int entry(struct xdp_md *ctx) { return count(&hits, XDP_DROP); }
char _license[] SEC("license") = "GPL";
