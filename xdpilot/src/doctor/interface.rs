//! Probes of one interface: pure judgements over its facts.

use super::finding::Finding;
use super::subject::Subject;

/// The probes, in the order in which they are shown; each is silent where it has nothing to say.
pub(super) const PROBES: &[fn(&Subject) -> Option<Finding>] =
    &[up, native, attached, above, members, mtu, queues, gro, checksum];

/// The largest MTU of a veth's peer that native XDP takes without `xdp.frags`, with pages of 4 KiB: less headroom
/// (258), `struct skb_shared_info` (320) and the Ethernet header (14); `veth_xdp_set`, drivers/net/veth.c.
const VETH_MTU: u32 = 3504;
/// The same for network cards: the smallest limit among the common drivers.
const CARD_MTU: u32 = 3498;

/// Kinds without native XDP, for kernels that cannot be asked (before Linux 6.3).
const NO_NATIVE: &[&str] = &[
    "bridge",
    "vlan",
    "dummy",
    "ifb",
    "macvlan",
    "ipvlan",
    "vxlan",
    "geneve",
    "gre",
    "gretap",
    "ipip",
    "sit",
    "vrf",
    "wireguard",
];

fn up(subject: &Subject) -> Option<Finding> {
    let Subject { enter, interface, .. } = subject;
    (!interface.up).then(|| {
        Finding::fail(
            "it is down: no packet reaches a program on it",
            format!("{enter}ip link set {} up", interface.name),
        )
    })
}

fn has_native(subject: &Subject) -> bool {
    let known_to_lack = || subject.interface.kind.as_deref().is_some_and(|kind| NO_NATIVE.contains(&kind));
    subject.features.map_or_else(|| !known_to_lack(), |features| features.native)
}

fn native(subject: &Subject) -> Option<Finding> {
    let kind = subject.interface.kind.as_deref().unwrap_or("its driver");
    Some(match (subject.features, has_native(subject)) {
        (Some(features), true) => {
            let frags = if features.frags { ", also for packets of several pages (xdp.frags)" } else { "" };
            Finding::ok(format!("{kind} runs programs itself (native mode){frags}"))
        }
        (None, true) => Finding::ok(format!("{kind} is not known to lack native mode; this kernel cannot be asked")),
        (_, false) => Finding::warn(
            format!("{kind} cannot run programs itself (native mode)"),
            format!("xdpilot load FILE --on {} --mode generic   or use the interface beneath it", subject.target),
        ),
    })
}

fn attached(subject: &Subject) -> Option<Finding> {
    let xdp = subject.interface.xdp;
    match (xdp.generic, xdp.programs().next()) {
        (Some(id), _) if has_native(subject) => Some(Finding::warn(
            format!("program {id} runs in generic mode, which is slower, though the driver has native mode"),
            format!("xdpilot unload --on {}   then load it with   --mode native", subject.target),
        )),
        (_, Some((mode, id))) => Some(Finding::ok(format!("program {id} runs in {mode} mode"))),
        _ => None,
    }
}

fn above(subject: &Subject) -> Option<Finding> {
    let upper = subject.busy_above.first()?;
    let target =
        subject.target.strip_suffix(&subject.interface.name).map_or(upper.clone(), |net| format!("{net}{upper}"));
    Some(Finding::fail(
        format!("{upper}, on top of it, has a program, and only one level may have one"),
        format!("xdpilot unload --on {target}"),
    ))
}

fn members(subject: &Subject) -> Option<Finding> {
    if let Some(busy) = subject.busy_members.first() {
        return Some(Finding::fail(
            format!("{busy}, in this bond, has a program of its own, so the bond cannot have one"),
            format!("xdpilot unload --on {busy}"),
        ));
    }
    let poor = subject.poor_members.first()?;
    Some(Finding::warn(
        format!("{poor}, in this bond, has no native mode, so the bond has none"),
        format!("{}ip link set {poor} nomaster   or   --mode generic", subject.enter),
    ))
}

fn mtu(subject: &Subject) -> Option<Finding> {
    let (at, limit, enter) = match &subject.peer {
        Some(peer) => (&peer.interface, VETH_MTU, &peer.enter),
        None => (&subject.interface, CARD_MTU, &subject.enter),
    };
    (has_native(subject) && at.mtu > limit).then(|| {
        Finding::warn(
            format!("{} has MTU {}: native mode takes only programs of section xdp.frags", at.name, at.mtu),
            format!("{enter}ip link set {} mtu {limit}", at.name),
        )
    })
}

/// `veth_xdp_set` wants as many receive queues in use here as the peer has transmit queues in use.
fn queues(subject: &Subject) -> Option<Finding> {
    let peer = subject.peer.as_ref()?;
    let (rx, tx) = (subject.channels?.rx, peer.channels?.tx);
    (rx < tx).then(|| {
        Finding::warn(
            format!("{} sends on {tx} queues and {rx} receive here: native mode is refused", peer.interface.name),
            format!("{}ethtool -L {} tx {rx}", peer.enter, peer.interface.name),
        )
    })
}

fn gro(subject: &Subject) -> Option<Finding> {
    let peer = subject.peer.as_ref()?;
    (peer.gro == Some(false) && peer.interface.xdp.native.is_none()).then(|| {
        let name = &peer.interface.name;
        Finding::warn(
            format!(
                "frames that programs redirect to {} are lost: {name}, its other end, has neither GRO nor a program",
                subject.interface.name
            ),
            format!("{}ethtool -K {name} gro on", peer.enter),
        )
    })
}

fn checksum(subject: &Subject) -> Option<Finding> {
    let peer = subject.peer.as_ref()?;
    (peer.tx_checksum == Some(true)).then(|| {
        let name = &peer.interface.name;
        Finding::warn(
            format!("{name} leaves TCP and UDP checksums to a card that is not there: packets that a program redirects or sends on carry wrong ones"),
            format!("{}ethtool -K {name} tx off", peer.enter),
        )
    })
}
