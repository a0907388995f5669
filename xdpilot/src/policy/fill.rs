//! The first contents of a loaded policy's sets.

use std::thread;

use xdpilot_core::cond::Part;
use xdpilot_core::emit::set_map_name;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::object::Shape;
use xdpilot_core::policy::Element;
use xdpilot_kernel::load::Loaded;
use xdpilot_kernel::map::Map;

use super::Compiled;
use super::elements::Contents;

/// Puts the elements of all sets into their maps.
///
/// # Errors
/// There is no room for them, or the kernel refuses.
pub fn sets(policy: &Compiled, loaded: &Loaded) -> Result<()> {
    let mut parts: Vec<(&str, Map, Part, &Shape, &[Element])> = Vec::new();
    for (index, set) in policy.rules.sets.iter().enumerate() {
        for part in &set.parts {
            let name = set_map_name(&policy.rules, index, *part);
            let map = policy.object.maps.iter().find(|map| map.name == name);
            let shape = map.and_then(|map| map.inner.as_ref());
            let shape = shape.ok_or_else(|| Error::usage(format!("map {name}")).cause("the object has no such map"))?;
            parts.push((&set.name, loaded.map(&name)?, *part, shape, &set.elements));
        }
    }
    // Each waits until no program uses what stood in the map before; together they wait once.
    thread::scope(|scope| {
        let fill = |(name, map, part, shape, elements): (&str, Map, Part, &Shape, &[Element])| {
            Contents::create(map, part, shape, elements).map(drop).map_err(|error| error.context(format!("set {name}")))
        };
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(move || fill(part))).collect();
        let failed = || Err(Error::failed("fill the sets").cause("a thread of it ended early"));
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| failed()))
    })
}
