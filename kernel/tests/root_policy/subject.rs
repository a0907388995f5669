//! One policy, in the kernel and in the evaluator.

use std::os::fd::AsFd;

use xdpilot_core::cond::Part;
use xdpilot_core::emit::{self, Options};
use xdpilot_core::eval::Machine;
use xdpilot_core::object::Object;
use xdpilot_core::policy::{Element, Verdict};
use xdpilot_core::rules::Rules;
use xdpilot_core::set_table::{Geometry, Table};
use xdpilot_core::{elf, listing};
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;
use xdpilot_kernel::test_run::{self, TestRun};

/// More elements are put into a table at once.
const MANY: usize = 1000;

/// A policy in both forms, and the time that both are told.
pub(crate) struct Subject<'a> {
    rules: &'a Rules,
    loaded: Loaded,
    clock: Option<Map>,
    machine: Machine<'a>,
    now: u64,
    seed: u64,
    /// The rules of counters that are not a rule's own.
    counted: Vec<u32>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(rules: &'a Rules, options: &Options, seed: u64) -> Self {
        let emit::Compiled { object, counted } =
            emit::compile(rules, options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let bytes = elf::write(&object);
        let entry = &object.functions[0].name;
        let request = Request { elf: &bytes, name: "random", entry, ..Request::default() };
        let loaded = load(&request).unwrap_or_else(|error| {
            let listed = listing::list(&object, &object.functions[0]);
            let text: Vec<_> = listed.iter().map(|insn| format!("{:5}: {}", insn.index, insn.text)).collect();
            panic!("seed {seed}: {}\n{}\n{rules:#?}\n{}", error.error, error.log, text.join("\n"))
        });
        fill_sets(rules, &object, &loaded);
        if let Ok(targets) = loaded.map(emit::TARGETS) {
            (0..rules.targets().len() as u32)
                .for_each(|at| targets.update(&at.to_ne_bytes(), &1u32.to_ne_bytes()).unwrap());
        }
        let clock = loaded.map(emit::CLOCK).ok();
        Subject { rules, loaded, clock, machine: Machine::new(rules), now: 1_000_000_000, seed, counted }
    }

    /// Runs one packet in both; `passed` nanoseconds have gone by.
    pub(crate) fn compare(&mut self, packet: &[u8], passed: u64) {
        self.now += passed;
        if let Some(clock) = &self.clock {
            clock.update(&0u32.to_ne_bytes(), &self.now.to_ne_bytes()).unwrap();
        }
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let kernel = test_run::run(self.loaded.entry().as_fd(), &test).unwrap();
        let mut bytes = packet.to_vec();
        let outcome = self.machine.run(&mut bytes, self.now, Some(1));
        let expected = match outcome.verdict {
            Verdict::Abort => 0,
            Verdict::Drop => 1,
            Verdict::Pass => 2,
            Verdict::Tx | Verdict::Reflect => 3,
            Verdict::Redirect(_) => 4,
            Verdict::Route(_) => panic!("no rule routes here"),
        };
        assert!(
            kernel.verdict == expected && kernel.packet == bytes,
            "seed {}: {outcome:?}, the kernel says {}\npacket {}\nkernel {}\nours   {}\n{:#?}",
            self.seed,
            kernel.verdict,
            hex(packet),
            hex(&kernel.packet),
            hex(&bytes),
            self.rules
        );
    }

    /// What the kernel does with a packet.
    pub(crate) fn verdict(&self, packet: &[u8]) -> u32 {
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        test_run::run(self.loaded.entry().as_fd(), &test).unwrap().verdict
    }

    /// The packets that each rule decided, and last the default.
    pub(crate) fn packets(&self) -> Vec<u64> {
        self.hits().into_iter().map(|[packets, _]| packets).collect()
    }

    fn hits(&self) -> Vec<[u64; 2]> {
        let sums = self.loaded.map(emit::RULES).unwrap().sums_per_cpu().unwrap();
        emit::counters::by_rule(&sums, self.rules.rules.len(), &self.counted)
    }

    pub(crate) fn compare_counters(&self, packet: &[u8]) {
        for (rule, hits) in self.hits().into_iter().enumerate() {
            let (packets, bytes) = self.machine.hits(rule);
            assert_eq!(
                hits,
                [packets, bytes],
                "seed {}: hits of rule {rule}, packet {}\n{:#?}",
                self.seed,
                hex(packet),
                self.rules
            );
        }
    }
}

/// The first bytes, for messages.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(200).map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the elements into the maps, each of a kind into one of its own.
fn fill_sets(rules: &Rules, object: &Object, loaded: &Loaded) {
    for (index, set) in rules.sets.iter().enumerate() {
        // Each waits for the kernel; together they wait once.
        std::thread::scope(|scope| {
            for part in &set.parts {
                let name = emit::set_map_name(rules, index, *part);
                let map = object.maps.iter().find(|map| map.name == name).unwrap();
                let inner = Map::create(&name, map.inner.as_ref().unwrap()).unwrap();
                fill(&inner, *part, &set.elements);
                let outer = loaded.map(&name).unwrap();
                scope.spawn(move || outer.set_inner(0, &inner).unwrap());
            }
        });
    }
}

fn fill(map: &Map, part: Part, elements: &[Element]) {
    if matches!(part, Part::V4 | Part::V6) && map.info().value_size == 64 {
        let mapped = Mapped::new(map).unwrap();
        let table = Table::new(mapped.words(), Geometry::of(part, elements)).unwrap();
        if elements.len() > MANY {
            return table.fill(elements).unwrap();
        }
        // One after the other, so that changes are tried too.
        elements.iter().for_each(|element| assert!(table.add(element).is_ok()));
        return;
    }
    let one = 1u32.to_ne_bytes();
    let mut ports = vec![0u8; 8192];
    for element in elements {
        let prefix = |length: u8, address: &[u8]| [&u32::from(length).to_ne_bytes()[..], address].concat();
        match (part, element) {
            (Part::V4, Element::V4(address, length)) => map.update(&prefix(*length, &address.octets()), &one).unwrap(),
            (Part::V6, Element::V6(address, length)) => map.update(&prefix(*length, &address.octets()), &one).unwrap(),
            (Part::Mac, Element::Mac(address)) => map.update(address, &one).unwrap(),
            (Part::Tuple(layout), Element::Tuple(tuple)) if tuple.layout() == layout => {
                map.update(&tuple.key(), &one).unwrap();
            }
            (Part::Port, Element::Ports(range)) => {
                range.clone().for_each(|port| ports[usize::from(port / 8)] |= 1 << (port % 8));
            }
            _ => {}
        }
    }
    if part == Part::Port {
        map.update(&0u32.to_ne_bytes(), &ports).unwrap();
    }
}
