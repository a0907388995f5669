//! Network cards and virtual machines. Words: `drivers/net/virtio_net.c` (`virtnet_xdp_set`) and the
//! drivers named in the sayings; what they say only in the kernel log is recognised too.

use super::Stage::{Attach, Load};
use super::row::{Given, Row};

pub(super) const ROWS: &[Row] = &[
    Row::said(
        "C81",
        &["driver does not support xdp in native mode"],
        "{driver} cannot run XDP on the card itself (offload); of common cards only Netronome's (nfp) can",
        "xdpilot load {source} --on {on} --mode native   or   --mode generic",
    )
    .or_number(&[Load, Attach], &[22, 95])
    .given(Given::Mode("offload")),
    Row::said(
        "C20",
        &["can't set xdp while host is implementing"],
        "the virtual machine's host merges packets or leaves checksums open for it, and the guest may not switch that off",
        "on the host (QEMU): -device virtio-net-pci,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_csum=off\nelse   xdpilot load {source} --on {on} --mode generic",
    ),
    Row::silent(
        "C70",
        &[Attach],
        &[95],
        "virtio-net refuses native XDP, mostly because the host merges packets or leaves checksums open for the guest",
        "on the host (QEMU): -device virtio-net-pci,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_csum=off\nelse   xdpilot load {source} --on {on} --mode generic",
    )
    .given(Given::Driver("virtio_net")),
    Row::said(
        "C21",
        &["too few free tx rings available"],
        "XDP on virtio-net wants a send queue for each CPU beside those in use, and the host gave fewer",
        "on the host: queues = 2 x CPUs; or   {in}ethtool -L {iface} combined 1   or   --mode generic",
    ),
    Row::silent(
        "C71",
        &[Attach],
        &[12],
        "XDP on virtio-net wants a send queue for each CPU beside those in use, and the host gave fewer",
        "on the host: queues = 2 x CPUs; or   {in}ethtool -L {iface} combined 1   or   --mode generic",
    )
    .given(Given::Driver("virtio_net")),
    Row::said(
        "C72",
        &["xdp request*queues but max is*slower locked tx mode"],
        "virtio-net has too few send queues for XDP and shares one under a lock; it works, only slower",
        "on the host: queues = 2 x CPUs; else nothing need be done",
    ),
    Row::said(
        "C22",
        &["xdp expects header/data in single page, any_header_sg required"],
        "the virtual machine is of an old model whose virtio-net splits header and data",
        "run it as a modern machine (QEMU: -machine q35 or pc, virtio 1.0), or   --mode generic",
    ),
    Row::said(
        "C23",
        &["mtu too large to enable xdp"],
        "virtio-net runs XDP on packets of one page; {mtu} does not fit",
        "{in}ip link set {iface} mtu 3498   or build the program with SEC(\"xdp.frags\")   or   --mode generic",
    ),
    Row::said(
        "C24",
        &["no enough space for allocating xdp queues"],
        "the ena driver needs as many free queues for XDP as are in use: half of its maximum",
        "{in}ethtool -l {iface}   shows the maximum; {in}ethtool -L {iface} combined MAX/2; {in}ip link set {iface} mtu 3498",
    ),
    Row::said(
        "C73",
        &["failed to set xdp program, the current mtu*is larger than the maximum allowed mtu"],
        "the ena driver runs XDP on packets of one page; {mtu} does not fit",
        "{in}ip link set {iface} mtu 3498   or   --mode generic",
    ),
    Row::said(
        "C25",
        &["without xdp frag support",
            "does not support xdp frags",
            "xdp prog does not support frags"],
        "at {mtu} packets come in several pieces, and the program takes whole ones only",
        "build it with SEC(\"xdp.frags\")   or   {in}ip link set {iface} mtu 3498   or   --mode generic",
    ),
    Row::said(
        "C74",
        &["jumbo frames not supported on xdp",
            "xdp is not supported with jumbo frames",
            "mtu too large for xdp",
            "mtu too large w/ xdp enabled",
            "rx buffer size is too small for the frame size",
            "xdp is not supported with mtu exceeding",
            "xdp: mtu too large",
            "mtu*too large for xdp"],
        "{driver} runs XDP only while a packet fits one receive buffer; {mtu} does not fit",
        "{in}ip link set {iface} mtu 1500   or   --mode generic",
    ),
    Row::silent(
        "C75",
        &[Attach],
        &[22],
        "{driver} refused and says no reason; at {mtu} packets do not fit one page, which native XDP needs",
        "{in}ip link set {iface} mtu 3498   or build the program with SEC(\"xdp.frags\")   or   --mode generic",
    )
    .given(Given::Jumbo),
    Row::said(
        "C26",
        &["error attaching xdp program*out of memory"],
        "the driver found no room for XDP's queues; dmesg says which",
        "{in}ethtool -L {iface} combined HALF   or   {in}ethtool -G {iface} rx 1024   or   --mode generic",
    ),
    Row::silent(
        "C76",
        &[Attach],
        &[12],
        "{driver} found no memory or queues for XDP; dmesg says which",
        "{in}ethtool -L {iface} combined HALF   or   {in}ethtool -G {iface} rx 1024   or   --mode generic",
    ),
    Row::said(
        "C77",
        &["xdp_tx needs two tx queues per cpu",
            "per cpu pools required for xdp"],
        "the mvpp2 driver needs per-CPU pools and two send queues for each CPU",
        "xdpilot load {source} --on {on} --mode generic",
    ),
    Row::said(
        "C78",
        &["ddp firmware package in order to use xdp"],
        "the ice driver runs in safe mode, without its DDP firmware package",
        "apt install firmware-misc-nonfree   (linux-firmware), reload ice, then load again; meanwhile   --mode generic",
    ),
    Row::said(
        "C79",
        &["lro is not supported",
            "while hw-gro/lro is on",
            "xdp: not support lro",],
        "the card merges packets (LRO), and XDP wants them single",
        "{in}ethtool -K {iface} lro off rx-gro-hw off   then load again",
    ),
    Row::said(
        "C80",
        &["channels must be combined to support xdp"],
        "the card's receive and send queues are apart, and XDP wants them in pairs",
        "{in}ethtool -L {iface} rx 0 tx 0 combined COUNT",
    ),
];
