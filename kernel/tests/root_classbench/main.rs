//! Every packet lands on the rule that a linear search over a ClassBench file finds: its counter goes up, and no other; the
//! verdict is its own. Needs root.
//!
//! By default the rule sets are drawn. `XDPILOT_CLASSBENCH` (files, with commas between) names others, `XDPILOT_PACKETS` says
//! how many packets each set gets, and `XDPILOT_SEED` makes another run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod lines;
mod packets;
mod sets;
mod subject;

use lines::Line;
use subject::Subject;
use xdpilot_core::random::Random;

/// Sizes of the sets that are drawn, of each family; from few rules on which a classifier has no part.
const SIZES: [usize; 6] = [5, 23, 60, 200, 500, 1000];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.replace('_', "").parse().expect(name))
}

#[test]
fn packets_land_on_the_rule_that_a_linear_search_finds() {
    let mut random = Random::new(number("XDPILOT_SEED", 1));
    if let Ok(files) = std::env::var("XDPILOT_CLASSBENCH") {
        for file in files.split(',') {
            compare(file, &std::fs::read_to_string(file).expect(file), &mut random);
        }
        return;
    }
    for size in SIZES {
        for family in &sets::FAMILIES {
            compare(family.name, &sets::draw(family, size, &mut random), &mut random);
        }
    }
}

fn compare(name: &str, text: &str, random: &mut Random) {
    let lines = lines::read(text);
    let count = number("XDPILOT_PACKETS", 1000);
    let mut subject = Subject::new(name, text, lines.len(), random);
    for _ in 0..count {
        let packet = packets::draw(&lines, random);
        subject.compare(&packet, first(&lines, &packet));
    }
    subject.compare_counters();
    println!("{name}: {count} packets on {} rules, no difference; {}", lines.len(), subject.spread());
}

/// The first line that the packet matches; how many there are if it matches none.
fn first(lines: &[Line], packet: &[u8]) -> usize {
    let header = lines::Header::of(packet);
    lines.iter().position(|line| line.matches(&header)).unwrap_or(lines.len())
}
