//! Attaching and detaching, any interface. Words: `net/core/dev.c` (`dev_xdp_attach`),
//! `drivers/net/bonding/bond_main.c` (`bond_xdp_set`, `bond_enslave`), libxdp.

use super::Stage::{Attach, Detach};
use super::row::{Given, Row};

pub(super) const ROWS: &[Row] = &[
    Row::said(
        "A1",
        &["xdp program already attached", "xdp already loaded on device"],
        "another XDP program is attached to {on}, and this attachment was asked not to replace one",
        "xdpilot status --on {on}   shows whose it is; then   xdpilot load {source} --on {on} --replace\nor   xdpilot unload --on {on}",
    ),
    Row::said(
        "A2",
        &["native and generic xdp can't be active at the same time"],
        "a program is attached to {on} in the other mode, and an interface runs XDP in one mode only",
        "xdpilot unload --on {on}   takes it off in whatever mode; then load again",
    ),
    Row::said(
        "A3",
        &["can't replace active bpf xdp link", "unable to detach xdp program: device or resource busy"],
        "the program on {on} is held by a bpf_link of another process or pin; only its owner, or detaching the link, removes it",
        "xdpilot status --on {on}   names the owner; then end that process, or   xdpilot unload --on {on}",
    ),
    Row::said(
        "A4",
        &["can't replace active xdp program with bpf link"],
        "a program that was attached by netlink (ip link, xdp-loader) is on {on}, and a bpf_link cannot take its place",
        "xdpilot load {source} --on {on} --replace   or   xdpilot unload --on {on}",
    ),
    Row::said(
        "A5",
        &["active program does not match expected"],
        "the program on {on} was changed by someone else between looking and replacing",
        "xdpilot status --on {on}   then repeat the command",
    ),
    Row::said(
        "A6",
        &["driver does not support xdp in native mode", "native mode not supported - try skb mode"],
        "{driver} cannot run XDP itself (native mode)",
        "xdpilot load {source} --on {on} --mode generic\nor attach to the interface beneath it (of a VLAN, bridge or tunnel) whose driver can",
    )
    .or_number(&[Attach], &[95]),
    Row::said(
        "A7",
        &["cannot attach when an upper device already has a program"],
        "an interface on top of {on} (bond, team, VLAN, bridge) has an XDP program, and only one level may have one",
        "ip -d link show {iface}   names the upper one (master); xdpilot unload --on UPPER   or attach there instead",
    ),
    Row::said(
        "A8",
        &["slave does not support xdp"],
        "an interface in the bond cannot run native XDP or cannot send XDP frames, so the bond cannot either",
        "xdpilot load {source} --on {on} --mode generic   or take that interface out of the bond: ip link set SLAVE nomaster",
    ),
    Row::said(
        "A53",
        &["slave has xdp program loaded, please unload before enslaving"],
        "an interface in the bond has an XDP program of its own",
        "xdpilot unload --on SLAVE   for each interface in the bond, then repeat",
    ),
    Row::said(
        "A54",
        &["no native xdp support for the current bonding mode"],
        "the bond's mode or transmit hash has no native XDP (it needs balance-rr, active-backup, balance-xor or 802.3ad, without vlan+srcmac)",
        "xdpilot load {source} --on {on} --mode generic   or make the bond anew in one of those modes",
    ),
    Row::said(
        "A9",
        &["more than one program loaded, unset mode is ambiguous"],
        "{on} runs one program on the card (offload) and one in the driver, and no mode was given",
        "give the mode: --mode native, --mode generic or --mode offload",
    ),
    Row::said(
        "A55",
        &["only one xdp mode flag can be set"],
        "two modes were asked for at once",
        "give one mode: --mode native, --mode generic or --mode offload",
    ),
    Row::said(
        "A56",
        &["invalid xdp flags for bpf link attachment"],
        "an attachment by bpf_link takes a mode and no other flag",
        "xdpilot load {source} --on {on} --replace",
    ),
    Row::said(
        "A57",
        &["xdp_flags_replace is not specified"],
        "an expected program was named without asking for a replacement",
        "xdpilot load {source} --on {on} --replace",
    ),
    Row::said(
        "A58",
        &[
            "using offloaded program without hw_mode flag is not supported",
            "using device-bound program without hw_mode flag is not supported",
        ],
        "the program was loaded for the card (offload) and cannot run in the driver or the stack",
        "xdpilot load {source} --on {on} --mode offload   or load it again without offload",
    ),
    Row::said(
        "A59",
        &["program bound to different dev"],
        "the program was loaded for another interface, or for one that is gone; a device-bound program runs only there",
        "load it again for this interface: xdpilot load {source} --on {on}",
    ),
    Row::said(
        "A60",
        &["xdpoffload of non-bound program"],
        "the program was not loaded for the card, so it cannot be offloaded to it",
        "xdpilot load {source} --on {on} --mode offload",
    ),
    Row::said(
        "A61",
        &["can't attach device-bound programs in generic mode"],
        "the program is bound to the device (it reads RX metadata), and generic mode has no device behind it",
        "xdpilot load {source} --on {on} --mode native",
    ),
    Row::said(
        "A62",
        &["bpf_xdp_devmap programs can not be attached to a device"],
        "the program is for entries of a devmap (section xdp/devmap), not for an interface",
        "choose the entry program: --program NAME; xdpilot inspect {source}   lists them",
    ),
    Row::said(
        "A63",
        &["bpf_xdp_cpumap programs can not be attached to a device"],
        "the program is for entries of a cpumap (section xdp/cpumap), not for an interface",
        "choose the entry program: --program NAME; xdpilot inspect {source}   lists them",
    ),
    Row::silent(
        "A10",
        &[Attach],
        &[22],
        "this kernel is older than 5.9 and has no bpf_link for XDP",
        "attach by netlink: xdpilot ip link set dev {iface} xdp obj {source}",
    )
    .given(Given::KernelBefore(5, 9)),
    Row::silent(
        "A82",
        &[Attach],
        &[22],
        "the kernel tells no reason through a bpf_link; mostly the interface is gone, or the program is for devmap or cpumap entries, or was loaded for another interface",
        "xdpilot ip link set dev {iface} xdp obj {source}   attaches by netlink, where the kernel says why; xdpilot inspect {source}   lists the programs",
    ),
    Row::silent(
        "A64",
        &[Attach, Detach],
        &[16],
        "an XDP program of another owner is attached to {on}",
        "xdpilot status --on {on}   names the owner; then   --replace   or   xdpilot unload --on {on}",
    ),
    Row::silent(
        "A65",
        &[Attach],
        &[17],
        "a program is attached to {on} in the other mode, or an interface on top of it has one",
        "xdpilot status   shows both; xdpilot unload --on   that interface, then load again",
    ),
    Row::silent(
        "A66",
        &[Attach, Detach],
        &[1, 13],
        "attaching XDP needs CAP_NET_ADMIN in the interface's network namespace and CAP_BPF",
        "run it as root: sudo xdpilot …; in a container: --cap-add NET_ADMIN --cap-add BPF, or --privileged",
    ),
    Row::silent(
        "A67",
        &[Attach, Detach],
        &[19, 6],
        "the interface {on} is gone, or is in another network namespace",
        "xdpilot status   lists the interfaces; the container may have been started anew",
    ),
    Row::silent(
        "A68",
        &[Attach],
        &[67],
        "the interface that the link was attached to has gone; the link is left without it",
        "xdpilot unload --on {on}   clears what is left; then load again",
    ),
];
