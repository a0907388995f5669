#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp") int prog(struct xdp_md *ctx)
{
	char name[16];
	bpf_get_current_comm(name, sizeof(name));
	return bpf_skb_vlan_pop((void *)ctx) + name[0];
}
char LICENSE[] SEC("license") = "GPL";
