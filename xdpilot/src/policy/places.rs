//! Which of the loaded policies a verb is about.

use clap::Args;
use xdpilot_core::error::Result;

use super::sets::{self, Loaded};
use crate::place::{self, Traffic};
use crate::target::Target;

/// The options that say where.
#[derive(Debug, Args)]
pub struct Places {
    /// Only there: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all; may be given several times
    #[arg(long = "on", value_name = "TARGET")]
    targets: Vec<Target>,
    /// Packets going to a container, or coming from it
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl Places {
    /// Whether places are named.
    pub fn are_named(&self) -> bool {
        !self.targets.is_empty()
    }

    /// The policies that are loaded there; everywhere where nothing is said.
    ///
    /// # Errors
    /// There is no such target, or this user may not see it.
    pub fn loaded(&self) -> Result<Vec<Loaded>> {
        if self.targets.is_empty() {
            return sets::loaded(None);
        }
        sets::loaded(Some(&place::resolve_all(&self.targets, self.traffic)?))
    }
}
