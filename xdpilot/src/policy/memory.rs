//! What large sets take of the kernel's memory, before they are loaded.

use xdpilot_core::emit::{self, Options};
use xdpilot_core::object::Shape;
use xdpilot_core::rules::Rules;

use super::elements::part_name;

/// Of fewer elements nothing is said.
const FEWEST: u32 = 512;
/// Bytes of a place of a hash map, and of an element's head and its allocator's.
const PLACE: u64 = 16;
const ELEMENT: u32 = 48 + 8;

/// For each set and kind of elements that is a table, or has many tuples, what it takes at each of so many places.
pub fn notes(rules: &Rules, places: usize) -> Vec<String> {
    let each = if places > 1 { format!(" at each of {places} places") } else { String::new() };
    let mut notes = Vec::new();
    for (set, part, table) in emit::set_tables(rules, &Options::default()) {
        let (kind, name) = (part_name(part), &rules.sets[set].name);
        let (bytes, room) = (table.bytes(), table.capacity);
        notes.push(format!("the {kind} of set {name} take {bytes} bytes of memory{each}, with room for {room}"));
    }
    for (set, part, count, shape) in emit::set_hashes(rules) {
        if count >= FEWEST {
            let (kind, name) = (part_name(part), &rules.sets[set].name);
            let (bytes, room) = (hash_bytes(&shape, count), shape.max_entries);
            notes.push(format!("the {kind} of set {name} take {bytes} bytes of memory{each}, with room for {room}"));
        }
    }
    notes
}

/// What the kernel's hash map takes with so many elements: a head for each of its places, and what the allocator gives for
/// an element with its own head (`kernel/bpf/hashtab.c`, `kernel/bpf/memalloc.c`).
fn hash_bytes(shape: &Shape, count: u32) -> u64 {
    let of_key_and_value = shape.key_size.next_multiple_of(8) + shape.value_size.next_multiple_of(8);
    let element = match ELEMENT + of_key_and_value {
        bytes @ 65..=96 => bytes.max(96),
        bytes => bytes.next_multiple_of(64),
    };
    u64::from(shape.max_entries.next_power_of_two()) * PLACE + u64::from(element) * u64::from(count)
}
