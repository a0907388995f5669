#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const int no_such_variable __ksym;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return no_such_variable;
}
char LICENSE[] SEC("license") = "GPL";
