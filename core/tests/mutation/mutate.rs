//! Mutations that know where an object keeps its tables.

use crate::random::Random;

const SHDR: usize = 64;
const LARGEST: usize = 1 << 17;

/// A section's place in the file.
#[derive(Clone, Copy)]
struct Place {
    header: usize,
    kind: u32,
    start: usize,
    len: usize,
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    let end = at.saturating_add(len);
    bytes.get(at..end).map_or(0, |b| b.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// The sections of an object that still lie in the file.
fn places(bytes: &[u8]) -> Vec<Place> {
    if bytes.get(..4) != Some(b"\x7fELF") {
        return Vec::new();
    }
    let (table, count) = (number(bytes, 40, 8), number(bytes, 60, 2).min(200));
    (0..count)
        .map(|at| table.saturating_add(at * SHDR))
        .filter(|header| header.saturating_add(SHDR) <= bytes.len())
        .map(|header| Place {
            header,
            kind: number(bytes, header + 4, 4) as u32,
            start: number(bytes, header + 24, 8),
            len: number(bytes, header + 32, 8),
        })
        .collect()
}

fn lies_in(place: &Place, bytes: &[u8]) -> bool {
    place.kind != 8 && place.len > 0 && place.start.checked_add(place.len).is_some_and(|end| end <= bytes.len())
}

/// A seed with one to eight mutations.
pub(crate) fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = random.pick(seeds).cloned().unwrap_or_default();
    for _ in 0..=random.below(8) {
        let places = places(&bytes);
        let inside: Vec<Place> = places.iter().copied().filter(|p| lies_in(p, &bytes)).collect();
        match random.below(16) {
            0 => flip(&mut bytes, random),
            1 => header_word(&mut bytes, &places, random),
            2 => transplant(&mut bytes, &places, seeds, random),
            3 => splice(&mut bytes, seeds, random),
            4 if random.one_in(4) => bytes.truncate(random.below(bytes.len())),
            5 if random.one_in(8) => multiply(&mut bytes, &inside, random),
            6 | 7 => copy_record(&mut bytes, &inside, random),
            _ => table_word(&mut bytes, &inside, random),
        }
    }
    bytes.truncate(LARGEST);
    bytes
}

fn flip(bytes: &mut [u8], random: &mut Random) {
    let at = random.below(bytes.len());
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

/// A value that is likely to be a border of something.
fn value(bytes: &[u8], place: Option<&Place>, random: &mut Random) -> u64 {
    let near = |base: u64, random: &mut Random| base.wrapping_add(random.next() % 9).wrapping_sub(4);
    let (start, len) = place.map_or((0, 64), |p| (p.start, p.len));
    match random.below(9) {
        0 => near(0, random),
        1 => near(1 << random.below(64), random),
        2 => near(len as u64, random),
        3 => near((len / 8) as u64, random),
        4 => near(bytes.len() as u64, random),
        5 => random.next(),
        6 => random.next() % 64,
        7 => (random.next() % (len as u64).max(1)) & !7,
        _ => number(bytes, start.wrapping_add(random.below(len)) & !3, 4) as u64,
    }
}

fn put(bytes: &mut [u8], at: usize, width: usize, value: u64) {
    if let Some(target) = bytes.get_mut(at..at.saturating_add(width)) {
        target.copy_from_slice(&value.to_le_bytes()[..width]);
    }
}

/// Changes a field of the file's head or of a section's.
fn header_word(bytes: &mut [u8], places: &[Place], random: &mut Random) {
    let place = random.pick(places).copied();
    let value = value(bytes, random.pick(places), random);
    match place {
        Some(place) if !random.one_in(8) => {
            let fields = [(0, 4), (4, 4), (8, 8), (24, 8), (32, 8), (40, 4), (44, 4), (48, 8), (56, 8)];
            let (at, width) = fields[random.below(fields.len())];
            let value = if at == 4 { random.next() % 12 } else { value };
            put(bytes, place.header + at, width, value);
        }
        _ => put(bytes, random.below(32) * 2, 2, value),
    }
}

/// The size of a record of a section, and the words in it: symbols, relocations, instructions, BTF.
fn record_size(place: &Place) -> usize {
    match place.kind {
        2 => 24,
        9 => 16,
        _ => [4, 8, 12, 16][place.start % 4],
    }
}

/// Changes a field in one of the tables.
fn table_word(bytes: &mut [u8], inside: &[Place], random: &mut Random) {
    let Some(place) = random.pick(inside).copied() else { return flip(bytes, random) };
    let value = value(bytes, Some(&place), random);
    let width = [1, 2, 4, 4, 4, 8][random.below(6)];
    let at = place.start + random.below(place.len) / width * width;
    put(bytes, at.min(bytes.len().saturating_sub(width)), width, value);
}

/// Copies a record of a table over another one.
fn copy_record(bytes: &mut [u8], inside: &[Place], random: &mut Random) {
    let Some(place) = random.pick(inside) else { return flip(bytes, random) };
    let size = record_size(place);
    let (from, to) = (random.below(place.len / size) * size, random.below(place.len / size) * size);
    if size <= place.len {
        bytes.copy_within(place.start + from..place.start + from + size, place.start + to);
    }
}

/// Repeats records of a table so that it becomes huge, at the end of the file.
fn multiply(bytes: &mut Vec<u8>, inside: &[Place], random: &mut Random) {
    let Some(place) = random.pick(inside).copied() else { return };
    let size = record_size(&place) * (1 + random.below(3));
    let from = random.below(place.len / size.max(1)) * size;
    let Some(record) = bytes.get(place.start + from..place.start + from + size).map(<[u8]>::to_vec) else { return };
    let mut table = bytes[place.start..place.start + place.len].to_vec();
    let room = LARGEST.saturating_sub(bytes.len() + table.len());
    let count = random.below(room / size);
    table.extend(std::iter::repeat_n(&record, count).flatten());
    append(bytes, place.header, &table);
}

/// Puts a section's new bytes at the end of the file.
fn append(bytes: &mut Vec<u8>, header: usize, table: &[u8]) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let start = bytes.len() as u64;
    bytes.extend_from_slice(table);
    put(bytes, header + 24, 8, start);
    put(bytes, header + 32, 8, table.len() as u64);
}

/// Gives a section the bytes of another object's section.
fn transplant(bytes: &mut Vec<u8>, places: &[Place], seeds: &[Vec<u8>], random: &mut Random) {
    let (Some(place), Some(donor)) = (random.pick(places).copied(), random.pick(seeds)) else { return };
    let organs: Vec<Place> =
        self::places(donor).into_iter().filter(|p| lies_in(p, donor) && p.kind == place.kind).collect();
    if let Some(organ) = random.pick(&organs) {
        append(bytes, place.header, &donor[organ.start..organ.start + organ.len]);
    }
}

/// Copies bytes of one object anywhere into another.
fn splice(bytes: &mut [u8], seeds: &[Vec<u8>], random: &mut Random) {
    let Some(donor) = random.pick(seeds) else { return };
    let (from, to) = (random.below(donor.len()), random.below(bytes.len()));
    let len = random.below(256).min(donor.len() - from).min(bytes.len() - to);
    bytes[to..to + len].copy_from_slice(&donor[from..from + len]);
}
