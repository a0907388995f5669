#include "common.h"
struct task_struct;
extern struct task_struct *bpf_task_acquire(struct task_struct *p) __attribute__((section(".ksyms"), weak));
extern void *bpf_cast_to_kern_ctx(void *ctx) __attribute__((section(".ksyms")));
extern void no_such_kfunc_anywhere(void) __attribute__((section(".ksyms"), weak));
SEC("xdp") int entry(struct xdp_md *ctx)
{
	if (no_such_kfunc_anywhere)
		no_such_kfunc_anywhere();
	return bpf_cast_to_kern_ctx(ctx) ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
