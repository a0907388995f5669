#include "common.h"
struct { __uint(type, CPUMAP); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 65536); } cpus SEC(".maps");
SEC("xdp") int entry(struct xdp_md *ctx) { return redirect_map(&cpus, 0, XDP_DROP); }
char _license[] SEC("license") = "GPL";
