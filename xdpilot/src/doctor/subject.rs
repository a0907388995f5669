//! The facts about one interface that its probes judge. Nothing is attached to learn them.

use xdpilot_core::error::Result;
use xdpilot_kernel::interface::Interface;
use xdpilot_kernel::offload::{self, Channels};
use xdpilot_kernel::xdp_features::{self, XdpFeatures};

use crate::place::{self, Place};

/// One interface.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The target, as commands name it.
    pub(super) target: String,
    /// The words that run a command where it is, with the space behind them.
    pub(super) enter: String,
    pub(super) interface: Interface,
    /// What the driver says that it can do; none before Linux 6.3.
    pub(super) features: Option<XdpFeatures>,
    pub(super) channels: Option<Channels>,
    pub(super) peer: Option<Peer>,
    /// Interfaces on top of it that have a program: bridge, bond, VLAN.
    pub(super) busy_above: Vec<String>,
    /// Members of it, a bond, that have a program.
    pub(super) busy_members: Vec<String>,
    /// Members of it, a bond, whose drivers have no native mode.
    pub(super) poor_members: Vec<String>,
}

/// The other end of a veth pair.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) enter: String,
    pub(super) interface: Interface,
    pub(super) gro: Option<bool>,
    pub(super) tx_checksum: Option<bool>,
    pub(super) channels: Option<Channels>,
}

impl Subject {
    pub(super) fn of(place: &Place) -> Result<Self> {
        let index = place.interface.index;
        // The way there is told from here, not from inside.
        let peer = peer(place);
        place.namespace.run(|| {
            let interface = Interface::by_index(index)?;
            let others = Interface::list()?;
            let is_above = |other: &&Interface| {
                Some(other.index) == interface.master
                    || (other.link == Some(index)
                        && other.link_netnsid.is_none()
                        && other.kind.as_deref() != Some("veth"))
            };
            let is_member =
                |other: &&Interface| interface.kind.as_deref() == Some("bond") && other.master == Some(index);
            let is_busy = |other: &&Interface| !other.xdp.is_empty();
            let is_poor = |other: &&Interface| xdp_features::of(other).is_ok_and(|features| !features.native);
            let name = |other: &Interface| other.name.clone();
            Ok(Subject {
                target: place.target.clone(),
                enter: words(place.enter()),
                features: xdp_features::of(&interface).ok(),
                channels: offload::channels(&interface).ok(),
                peer,
                busy_above: others.iter().filter(is_above).filter(is_busy).map(name).collect(),
                busy_members: others.iter().filter(is_member).filter(is_busy).map(name).collect(),
                poor_members: others.iter().filter(is_member).filter(is_poor).map(name).collect(),
                interface,
            })
        })
    }
}

fn peer(place: &Place) -> Option<Peer> {
    let (namespace, interface) = place.peer()?;
    let enter = words(place::way_into(&namespace).ok().flatten());
    let asked = namespace.run(|| {
        Ok(Peer {
            enter,
            gro: offload::gro(&interface).ok(),
            tx_checksum: offload::tx_checksum(&interface).ok(),
            channels: offload::channels(&interface).ok(),
            interface,
        })
    });
    asked.ok()
}

fn words(enter: Option<String>) -> String {
    enter.map(|words| format!("{words} ")).unwrap_or_default()
}
