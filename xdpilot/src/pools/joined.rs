//! Packets that a sender on this machine leaves to its device to cut (TSO). Where a program stands in native mode, the kernel
//! takes that from the other end of the veth pair (`veth_xdp_set`, drivers/net/veth.c). In generic mode the packets come as
//! they are, up to 64 KiB long: for a pool they are too long, and no *packet too big* makes them shorter.

use xdpilot_kernel::offload;

use crate::place::{self, Place};

/// What the user should know of a place where a policy with pools stands in generic mode.
pub fn note(place: &Place) -> Option<String> {
    let (namespace, peer) = place.peer()?;
    let joins = namespace.run(|| offload::segmentation(&peer)).ok()?;
    let enter = place::way_into(&namespace).ok().flatten().map(|words| format!("{words} ")).unwrap_or_default();
    let name = peer.name;
    joins.then(|| {
        format!(
            "{name}, the other end of the veth pair, leaves long TCP segments whole (TSO), which no backend gets in generic \
             mode: uploads would stall; mend: xdpilot load … --mode native, or {enter}ethtool -K {name} tso off \
             tx-udp-segmentation off"
        )
    })
}
