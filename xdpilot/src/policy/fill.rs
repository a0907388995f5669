//! The first contents of a loaded policy's sets.

use xdpilot_core::emit::set_map_name;
use xdpilot_core::error::Result;
use xdpilot_kernel::load::Loaded;

use super::{Compiled, elements};

/// Puts the elements of all sets into their maps.
///
/// # Errors
/// There is no room for them, or the kernel refuses.
pub fn sets(policy: &Compiled, loaded: &Loaded) -> Result<()> {
    for (index, set) in policy.rules.sets.iter().enumerate() {
        for part in &set.parts {
            let map = loaded.map(&set_map_name(&policy.rules, index, *part))?;
            elements::fill(&map, *part, &set.elements).map_err(|error| error.context(format!("set {}", set.name)))?;
        }
    }
    Ok(())
}
