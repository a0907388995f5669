/* What the objects of the tests share. Ours, so that no package's headers decide what is tested. */
#pragma once
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name
#define __array(name, value) typeof(value) *name[]
#define inline_always static inline __attribute__((always_inline))

struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex; };
enum xdp_action { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
enum {
	HASH = 1, ARRAY = 2, PROG_ARRAY = 3, PERF_EVENT_ARRAY = 4, PERCPU_HASH = 5, PERCPU_ARRAY = 6,
	ARRAY_OF_MAPS = 12, HASH_OF_MAPS = 13, DEVMAP = 14, CPUMAP = 16, XSKMAP = 17, DEVMAP_HASH = 25, RINGBUF = 27,
};

static void *(*const map_lookup)(const void *map, const void *key) = (void *)1;
static long (*const map_update)(const void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const tail_call)(void *ctx, const void *map, u32 index) = (void *)12;
static long (*const perf_event_output)(void *ctx, const void *map, u64 flags, void *data, u64 size) = (void *)25;
static long (*const redirect_map)(const void *map, u64 key, u64 flags) = (void *)51;

/* Counts a run in element 0 of an array; the verdict says whether it worked. */
inline_always int count(const void *map, int verdict)
{
	u32 key = 0;
	u64 *value = map_lookup(map, &key);
	if (!value)
		return XDP_ABORTED;
	*value += 1;
	return verdict;
}
