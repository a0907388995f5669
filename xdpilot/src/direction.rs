//! Which packets of an interface a program sees, and how it stands there.

use std::fmt;

use clap::ValueEnum;
use xdpilot_kernel::mode::Mode;

/// Which packets of an interface a program sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, ValueEnum)]
pub enum Direction {
    /// Those that arrive there (XDP)
    #[default]
    Ingress,
    /// Those that leave there (TCX, Linux 6.6)
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];
}

/// How a program stands on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// As an XDP program, in this mode.
    Xdp(Mode),
    /// On the packets that leave: a classifier, by a TCX link.
    Egress,
}

impl Hook {
    /// Which packets the program sees.
    pub fn direction(self) -> Direction {
        match self {
            Hook::Xdp(_) => Direction::Ingress,
            Hook::Egress => Direction::Egress,
        }
    }

    /// The mode of an XDP program.
    pub fn mode(self) -> Option<Mode> {
        match self {
            Hook::Xdp(mode) => Some(mode),
            Hook::Egress => None,
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hook::Xdp(mode) => mode.fmt(f),
            Hook::Egress => f.write_str("egress"),
        }
    }
}
