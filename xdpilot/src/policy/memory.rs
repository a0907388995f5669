//! What large sets take of the kernel's memory, before they are loaded.

use xdpilot_core::emit::{self, Options};
use xdpilot_core::rules::Rules;

use super::elements::part_name;

/// For each set and kind of elements that is a table, what it takes at each of so many places.
pub fn notes(rules: &Rules, places: usize) -> Vec<String> {
    let each = if places > 1 { format!(" at each of {places} places") } else { String::new() };
    let mut notes = Vec::new();
    for (set, part, table) in emit::set_tables(rules, &Options::default()) {
        let (kind, name) = (part_name(part), &rules.sets[set].name);
        let (bytes, room) = (table.bytes(), table.capacity);
        notes.push(format!("the {kind} of set {name} take {bytes} bytes of memory{each}, with room for {room}"));
    }
    notes
}
