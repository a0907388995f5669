//! veth pairs and containers. Words: `drivers/net/veth.c` (`veth_xdp_set`), libxdp.

use super::Stage::Attach;
use super::row::Row;

pub(super) const ROWS: &[Row] = &[
    Row::said(
        "B12",
        &["peer mtu is too large to set xdp"],
        "native XDP on a veth keeps a packet in one page; the other end ({peer}) has {mtu} and may send larger ones, and the program does not take fragments",
        "{peerin}ip link set {peer} mtu 3498   or   --mode generic   or build the program with SEC(\"xdp.frags\")",
    )
    .or_number(&[Attach], &[34]),
    Row::said(
        "B13",
        &["xdp expects number of rx queues not less than peer tx queues"],
        "the other end of the veth pair ({peer}) sends on more queues than {iface} receives on",
        "{peerin}ethtool -L {peer} tx 1   or   {in}ethtool -L {iface} rx COUNT   or   --mode generic",
    )
    .or_number(&[Attach], &[28]),
    Row::said(
        "B14",
        &["cannot set xdp when peer is detached"],
        "the other end of the veth pair is gone or on its way to another namespace",
        "wait until the container runs, then repeat; ip -d link show {iface}   shows the pair",
    )
    .or_number(&[Attach], &[107]),
    Row::said(
        "B69",
        &["veth: setup for xdp failed"],
        "the kernel could not set up XDP receive queues on the veth, mostly for want of memory",
        "free memory and repeat, or   --mode generic",
    ),
    Row::said(
        "B19",
        &["no bpffs found at", "can't use dispatcher without a working bpffs"],
        "the BPF file system is not mounted here; ip netns exec hides /sys/fs/bpf behind a fresh /sys",
        "mount -t bpf bpf /sys/fs/bpf   or leave namespaces to xdpilot: --on netns:NAME/{iface}",
    ),
];
