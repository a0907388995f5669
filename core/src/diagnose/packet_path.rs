//! While packets pass: tracepoints `xdp:*`, tcpdump, return values of helpers.

use super::Stage::Run;
use super::row::Row;

pub(super) const ROWS: &[Row] = &[
    Row::said(
        "B15",
        &["xdp_redirect_err*err=-6", "xdp_bulk_tx*err=-6", "xdp_devmap_xmit*err=-6"],
        "frames sent into a veth (XDP_TX or redirect) vanish: its other end has no XDP program and no GRO, so it does not poll",
        "put a program that passes on the other end; for redirected frames   {peerin}ethtool -K {peer} gro on   is enough",
    ),
    Row::said(
        "B17",
        &["cksum*incorrect"],
        "the sender leaves the checksum to its card (veth TX offload), and an XDP frame loses that note",
        "{peerin}ethtool -K {peer} tx off   at the sending end, or compute the whole checksum in the program",
    ),
    Row::said(
        "C27",
        &["does not support sending packets via xdp", "xdp_redirect*err=-95", "xdp_devmap_xmit*err=-95"],
        "the interface that frames are redirected to cannot send XDP frames (no ndo_xdp_xmit), or not before it has a program itself",
        "attach a program that passes to the target interface, or   --mode generic   on the receiving one",
    ),
    Row::said(
        "C28",
        &["bpf_warn_invalid_xdp_action", "unsupported xdp return value", "illegal xdp return value"],
        "the program returned a verdict that this driver or the kernel does not know; such packets are dropped",
        "return XDP_PASS, DROP, TX, REDIRECT or ABORTED only, or   --mode generic",
    ),
    Row::silent(
        "D43",
        &[Run],
        &[524],
        "{driver} keeps no room for metadata before the packet (bpf_xdp_adjust_meta)",
        "pass the data through a map, or use another driver or   --mode generic",
    ),
];
