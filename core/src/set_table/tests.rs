//! Tables against a list that is searched from end to end.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicU64;

use proptest::prelude::*;

use super::*;

fn words(geometry: Geometry) -> Vec<AtomicU64> {
    (0..geometry.lines() as usize * LINE).map(|_| AtomicU64::new(0)).collect()
}

fn prefix(element: &Element) -> (u128, u8, u32) {
    match element {
        Element::V4(address, length) => (u128::from(address.to_bits()) << 96, *length, 32),
        Element::V6(address, length) => (address.to_bits(), *length, 128),
        _ => (0, 0, 0),
    }
}

fn naive(elements: &[Element], address: u128) -> bool {
    elements.iter().map(prefix).any(|(bits, length, _)| (bits ^ address) & mask(length) == 0)
}

/// Prefixes that are near each other, of all lengths.
fn element(part: Part) -> impl Strategy<Value = Element> {
    let length = prop_oneof![Just(0u8), 1..=16u8, 17..=32u8, 20..=50u8, 33..=128u8, Just(128u8), Just(32), Just(24)];
    let byte = || prop_oneof![Just(0u8), Just(1), Just(255), Just(128)];
    (prop::array::uniform16(byte()), length).prop_map(move |(mut bytes, length)| {
        (bytes[0], bytes[1]) = (32 + bytes[0] % 2, 1 + bytes[1] % 2);
        let bits = u128::from_be_bytes(bytes);
        match part {
            Part::V4 => {
                let length = length.min(32);
                Element::V4(Ipv4Addr::from_bits(((bits & mask(length)) >> 96) as u32), length)
            }
            _ => Element::V6(Ipv6Addr::from_bits(bits & mask(length)), length),
        }
    })
}

/// The first and the last address of each, and those beside.
fn compare(table: &Table<'_>, elements: &[Element], about: &[Element]) {
    for (bits, length, width) in about.iter().map(prefix) {
        let one = 1u128 << (128 - width);
        let last = bits | !mask(length);
        for address in [bits, last, bits.wrapping_sub(one), last.wrapping_add(one), bits ^ 1 << 127] {
            let key = &address.to_be_bytes()[..width as usize / 8];
            let address = address & mask(width as u8);
            assert_eq!(table.contains(key), naive(elements, address), "{address:032x} {elements:?}");
        }
    }
}

fn sequence(part: Part, first: Vec<Element>, changes: Vec<(bool, Element)>) {
    let geometry = Geometry::of(part, &first);
    let words = words(geometry);
    let table = Table::new(&words, geometry).expect("words");
    table.fill(&first).expect("room");
    let mut now: Vec<Element> = Vec::new();
    for element in first {
        if !now.contains(&element) {
            now.push(element);
        }
    }
    let about: Vec<Element> = now.iter().cloned().chain(changes.iter().map(|(_, element)| element.clone())).collect();
    compare(&table, &now, &about);
    for (add, element) in changes {
        let there = now.contains(&element);
        if add {
            assert_eq!(table.add(&element), Ok(!there));
            now.retain(|other| *other != element);
            now.push(element);
        } else {
            assert_eq!(table.remove(&element), there);
            now.retain(|other| *other != element);
        }
        compare(&table, &now, &about);
    }
    let table = Table::open(&words).expect("a table");
    assert_eq!((table.geometry(), table.count()), (geometry, now.len()));
    let mut listed = table.elements();
    let key = |element: &Element| prefix(element);
    listed.sort_by_key(key);
    now.sort_by_key(key);
    assert_eq!(listed, now);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn v4_tables_find_what_lists_find(
        first in prop::collection::vec(element(Part::V4), 0..24),
        changes in prop::collection::vec((any::<bool>(), element(Part::V4)), 0..24),
    ) {
        sequence(Part::V4, first, changes);
    }

    #[test]
    fn v6_tables_find_what_lists_find(
        first in prop::collection::vec(element(Part::V6), 0..24),
        changes in prop::collection::vec((any::<bool>(), element(Part::V6)), 0..24),
    ) {
        sequence(Part::V6, first, changes);
    }
}

/// Single addresses of a table with lanes, some of whose buckets have too few; then prefixes around them come and go.
#[test]
fn addresses_with_and_without_lanes_are_found() {
    let mut seed = 7;
    let own = |common: u64| Element::V4(Ipv4Addr::from_bits(common as u32), 32);
    for (count, words_of_lanes) in [(30_000, 1), (100_000, 2), (300_000, 4), (900_000, 8), (1_200_000, 0)] {
        let all: Vec<Element> = (0..count).map(|_| own(random(&mut seed) >> 20)).collect();
        let geometry = Geometry::of(Part::V4, &all);
        assert_eq!(geometry.lanes, words_of_lanes);
        let words = words(geometry);
        let table = Table::new(&words, geometry).expect("words");
        table.fill(&all).expect("room");
        let find = |element: &Element| table.contains(&(prefix(element).0 >> 96).to_be_bytes()[12..]);
        assert!(all.iter().all(find));
        let mut known: Vec<u32> = all.iter().map(|element| (prefix(element).0 >> 96) as u32).collect();
        known.sort_unstable();
        known.dedup();
        let strangers = (0..50_000).map(|_| (random(&mut seed) >> 20) as u32);
        for address in strangers {
            assert_eq!(find(&own(address.into())), known.binary_search(&address).is_ok());
        }
        // All of one bucket, and more than it has lanes.
        let mates: Vec<u32> =
            (0..48).map(|lower| (0x1234_0000u32 | lower).wrapping_mul(inverse(buckets::FACTOR))).collect();
        for mate in &mates {
            table.add(&own((*mate).into())).expect("room");
        }
        for (at, mate) in mates.iter().enumerate() {
            assert!(mates[at..].iter().all(|mate| find(&own((*mate).into()))));
            assert!(table.remove(&own((*mate).into())));
            assert!(!find(&own((*mate).into())));
        }
        around(&table, mates[5]);
        assert!(all.iter().all(|element| find(element) != mates.contains(&((prefix(element).0 >> 96) as u32))));
    }
}

/// Prefixes of IPv6 of which most have lanes of blocks, but some blocks have more than lanes, and some prefixes hold
/// several blocks; then others come and go.
#[test]
fn prefixes_in_blocks_and_elsewhere_are_found() {
    let mut seed = 3;
    for (count, of_block) in [(3_000, 1), (30_000, 6), (30_000, 40)] {
        let all: Vec<Element> = (0..count).map(|_| in_blocks(&mut seed, count / of_block)).collect();
        let geometry = Geometry::of(Part::V6, &all);
        assert!(geometry.blocks > 0);
        let words = words(geometry);
        let table = Table::new(&words, geometry).expect("words");
        table.fill(&all).expect("room");
        assert_eq!(Table::open(&words).expect("a table").geometry(), geometry);
        let mut now: HashSet<Element> = all.iter().cloned().collect();
        let compare = |now: &HashSet<Element>, address: u128| {
            let holds = |length: u8| now.contains(&Element::V6(Ipv6Addr::from_bits(address & mask(length)), length));
            assert_eq!(table.contains(&address.to_be_bytes()), (0..=128).any(holds), "{address:032x}");
        };
        for _ in 0..2_000 {
            compare(&now, prefix(&in_blocks(&mut seed, count / of_block)).0);
        }
        for change in 0..300 {
            let known = all[random(&mut seed) as usize % all.len()].clone();
            let element = if change % 2 == 0 { in_blocks(&mut seed, 2) } else { known };
            match now.remove(&element) {
                true => assert!(table.remove(&element)),
                false => assert_eq!(table.add(&element), Ok(now.insert(element.clone()))),
            }
            let (bits, length, _) = prefix(&element);
            for address in [bits, bits | !mask(length), bits ^ 1 << 100, bits ^ 1 << 75] {
                compare(&now, address);
            }
        }
    }
}

/// Registries give blocks out in steps: they are spread over the lines all the same.
#[test]
fn blocks_in_steps_have_lines() {
    for step in [1u128, 2, 3, 4, 5, 8, 64, 1024] {
        let prefix = |at: u128| Prefix { bits: (0x2001 << 112) + ((at * step) << 101), length: 48 };
        let all: Vec<Element> = (0..60_000).map(|at| Element::V6(prefix(at).bits.into(), 48)).collect();
        let geometry = Geometry::of(Part::V6, &all);
        let words = words(geometry);
        let table = Table::new(&words, geometry).expect("words");
        table.fill(&all).expect("room");
        let without = (0..60_000).filter(|at| !blocks::has(&table, prefix(*at))).count();
        assert!(without < 600, "{step}: {without}");
    }
}

/// A table of before there were blocks: class 1 is named nowhere, and looked at where the state says so.
#[test]
fn class_1_is_found_where_no_class_word_names_it() {
    let wide = Element::V6(Ipv6Addr::from_bits(0x2001_0d80 << 96), 26);
    let geometry = Geometry::of(Part::V6, &[]);
    let words = words(geometry);
    let table = Table::new(&words, geometry).expect("words");
    table.fill(&[wide, Element::V6(Ipv6Addr::from_bits(0x2001_0db8_0001 << 80), 48)]).expect("room");
    table.area(geometry.class_lines()).iter().for_each(|word| set(word, 0));
    assert!(table.contains(&(0x2001_0d81u128 << 96).to_be_bytes()));
    assert!(table.remove(&Element::V6(Ipv6Addr::from_bits(0x2001_0db8_0001 << 80), 48)));
    assert_eq!(states::state_of(table.area(geometry.states()), 0x20_010d), state::BLOCKS);
}

/// A prefix in one of so many blocks, or one that holds some.
fn in_blocks(seed: &mut u64, blocks: u64) -> Element {
    let lengths = [20u8, 25, 26, 27, 28, 29, 32, 36, 40, 44, 48, 48, 48, 52, 54, 55, 56, 64, 128];
    let block = 0x2a00 << 112 | u128::from(random(seed) % blocks) << 101;
    let bits = block | u128::from(random(seed) as u32 >> 5) << 74 | u128::from(random(seed) >> 20);
    let length = lengths[random(seed) as usize % lengths.len()];
    Element::V6(Ipv6Addr::from_bits(bits & mask(length)), length)
}

/// An address and the prefixes that hold it come and go in all orders.
fn around(table: &Table<'_>, address: u32) {
    let element = |length: u8| {
        Element::V4(Ipv4Addr::from_bits(((u128::from(address) << 96 & mask(length)) >> 96) as u32), length)
    };
    let lengths = [32, 31, 28, 24, 20];
    for first in 0..lengths.len() {
        let order: Vec<u8> = (0..lengths.len()).map(|at| lengths[(at * 2 + first) % lengths.len()]).collect();
        for length in &order {
            table.add(&element(*length)).expect("room");
            assert!(table.contains(&address.to_be_bytes()));
        }
        for (at, length) in order.iter().enumerate() {
            assert!(table.remove(&element(*length)));
            assert_eq!(table.contains(&address.to_be_bytes()), at + 1 < order.len(), "{order:?} {at}");
        }
    }
}

/// What an odd number is multiplied with to give 1, of 32 bits (Newton's method).
fn inverse(odd: u32) -> u32 {
    (0..5).fold(odd, |inverse, _| inverse.wrapping_mul(2u32.wrapping_sub(odd.wrapping_mul(inverse))))
}

fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 16 ^ *seed << 20
}

#[test]
fn a_table_takes_as_many_elements_as_it_says() {
    for part in [Part::V4, Part::V6] {
        let mut seed = 1;
        let mut one = || {
            let bits = u128::from(random(&mut seed)) << 64 | u128::from(random(&mut seed));
            match part {
                Part::V4 => Element::V4(Ipv4Addr::from_bits((bits >> 96) as u32), 32),
                _ => Element::V6(Ipv6Addr::from_bits(bits & mask(48)), 48),
            }
        };
        let geometry = Geometry::of(part, &[]);
        let words = words(geometry);
        let table = Table::new(&words, geometry).expect("words");
        let all: Vec<Element> = (0..geometry.capacity).map(|_| one()).collect();
        table.fill(&all).expect("room");
        for element in all.iter().take(1000) {
            assert!(table.contains(&match element {
                Element::V4(address, _) => address.octets().to_vec(),
                Element::V6(address, _) => address.octets().to_vec(),
                _ => Vec::new(),
            }));
        }
        let more: Vec<Result<bool, Full>> = (0..1000).map(|_| table.add(&one())).collect();
        assert!(more.contains(&Err(Full)), "{part:?}");
        assert!(table.remove(&all[0]));
        assert_eq!(table.add(&all[0]), Ok(true));
    }
}

#[test]
fn words_without_a_table_are_none() {
    let geometry = Geometry::of(Part::V4, &[]);
    let words = words(geometry);
    assert!(Table::open(&words).is_none());
    assert!(Table::new(&words[8..], geometry).is_none());
    assert!(Table::new(&words, geometry).is_some());
    assert!(Table::open(&words[8..]).is_none());
}
