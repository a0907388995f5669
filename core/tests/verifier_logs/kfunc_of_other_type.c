#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sock_common {};
int bpf_sock_destroy(struct sock_common *sock) __ksym;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return bpf_sock_destroy((void *)ctx);
}
char LICENSE[] SEC("license") = "GPL";
