#include "common.h"
enum xdp_rss_hash_type { XDP_RSS_TYPE_NONE };
extern int bpf_xdp_metadata_rx_hash(const struct xdp_md *ctx, u32 *hash, enum xdp_rss_hash_type *type) __attribute__((section(".ksyms")));
SEC("xdp") int entry(struct xdp_md *ctx)
{
	u32 hash = 0; enum xdp_rss_hash_type type = 0;
	/* A test run has no hash to tell. */
	return bpf_xdp_metadata_rx_hash(ctx, &hash, &type) < 0 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
