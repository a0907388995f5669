#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair { int a, b; };

__noinline int sum(struct pair *pair)
{
	return pair->a + pair->b;
}

SEC("xdp") int prog(struct xdp_md *ctx)
{
	struct pair pair = { 1, 2 };
	return sum(&pair);
}
char LICENSE[] SEC("license") = "GPL";
