//! Where in the kernel's receive path an XDP program runs.

use std::fmt;

/// The mode that an XDP program is attached in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// In the driver, before an skb exists (`XDP_FLAGS_DRV_MODE`).
    Native,
    /// In the stack, for any device, on an skb (`XDP_FLAGS_SKB_MODE`).
    Generic,
    /// On the network card itself (`XDP_FLAGS_HW_MODE`).
    Offload,
}

impl Mode {
    /// The bit in `IFLA_XDP_FLAGS` and in `bpf_attr.link_create.flags` (`include/uapi/linux/if_link.h`).
    pub fn flag(self) -> u32 {
        match self {
            Mode::Generic => 1 << 1,
            Mode::Native => 1 << 2,
            Mode::Offload => 1 << 3,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Native => "native",
            Mode::Generic => "generic",
            Mode::Offload => "offload",
        })
    }
}

/// The ids of the XDP programs attached to one interface, one per mode (`IFLA_XDP_*_PROG_ID`).
///
/// The kernel allows a native or a generic program, and an offloaded one beside either.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// The program in the driver.
    pub native: Option<u32>,
    /// The program in the stack.
    pub generic: Option<u32>,
    /// The program on the card.
    pub offload: Option<u32>,
}

impl Attached {
    /// Each attached program as its mode and id, in the order in which a packet meets them.
    pub fn programs(&self) -> impl Iterator<Item = (Mode, u32)> + use<> {
        [(Mode::Offload, self.offload), (Mode::Native, self.native), (Mode::Generic, self.generic)]
            .into_iter()
            .filter_map(|(mode, id)| id.map(|id| (mode, id)))
    }

    /// The id of the program attached in this mode.
    pub fn program(&self, mode: Mode) -> Option<u32> {
        match mode {
            Mode::Native => self.native,
            Mode::Generic => self.generic,
            Mode::Offload => self.offload,
        }
    }

    /// Whether no program is attached.
    pub fn is_empty(&self) -> bool {
        self.programs().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_programs_in_packet_order() {
        let both = Attached { native: Some(7), generic: None, offload: Some(9) };
        assert_eq!(both.programs().collect::<Vec<_>>(), [(Mode::Offload, 9), (Mode::Native, 7)]);
        assert!(Attached::default().is_empty());
        assert_eq!(both.program(Mode::Native), Some(7));
    }
}
