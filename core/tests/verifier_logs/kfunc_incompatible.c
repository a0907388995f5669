#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct task_struct;
struct task_struct *bpf_task_from_pid(int pid) __ksym;

SEC("xdp") int prog(struct xdp_md *ctx)
{
	return bpf_task_from_pid(1) ? XDP_DROP : XDP_PASS;
}
char LICENSE[] SEC("license") = "GPL";
