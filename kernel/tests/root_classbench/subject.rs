//! A rule file as a program in the kernel, and what has been expected of it so far.

use std::os::fd::AsFd;

use xdpilot_core::emit::{self, Options};
use xdpilot_core::policy::{self, Action, Verdict};
use xdpilot_core::random::Random;
use xdpilot_core::rules::Rules;
use xdpilot_core::{elf, import};
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::test_run::{self, TestRun};

/// Verdicts, and what the kernel calls them.
const VERDICTS: [(Verdict, u32); 4] = [(Verdict::Drop, 1), (Verdict::Pass, 2), (Verdict::Tx, 3), (Verdict::Abort, 0)];

pub(crate) struct Subject {
    name: String,
    loaded: Loaded,
    counters: Map,
    /// What the kernel calls each rule's verdict; the last is the default's.
    verdicts: Vec<u32>,
    /// How many packets each rule should have.
    tallies: Vec<u64>,
}

impl Subject {
    /// Imports, compiles and loads a rule file of so many lines.
    pub(crate) fn new(name: &str, text: &str, lines: usize, random: &mut Random) -> Self {
        let mut rules = rules(name, text);
        assert_eq!(rules.rules.len(), lines, "{name}");
        // All rules alike, as imported, or each with a verdict of its own.
        let kinds = [1, VERDICTS.len()][random.below(2)];
        let mut verdicts = Vec::new();
        for rule in &mut rules.rules {
            let (verdict, number) = &VERDICTS[random.below(kinds)];
            rule.action = Action::Verdict(verdict.clone());
            verdicts.push(*number);
        }
        verdicts.push(2);
        let emit::Compiled { object, counted } = emit::compile(&rules, &Options::default()).unwrap();
        // Its rules are found by classifiers.
        assert!(counted.is_empty(), "{name}");
        let (bytes, entry) = (elf::write(&object), &object.functions[0].name);
        let request = Request { elf: &bytes, name: "classbench", entry, ..Request::default() };
        let loaded = load(&request).unwrap_or_else(|error| panic!("{name}: {}\n{}", error.error, error.log));
        let counters = loaded.map(emit::RULES).unwrap();
        Subject { name: name.into(), loaded, counters, verdicts, tallies: vec![0; lines + 1] }
    }

    /// Runs a packet, which this rule should decide.
    pub(crate) fn compare(&mut self, packet: &[u8], rule: usize) {
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let verdict = test_run::run(self.loaded.entry().as_fd(), &test).unwrap().verdict;
        self.tallies[rule] += 1;
        let expected = (self.tallies[rule], self.verdicts[rule]);
        if (self.hits(rule), verdict) != expected {
            let hits = self.all_hits();
            let hit: Vec<usize> = (0..hits.len()).filter(|at| hits[*at] != self.tallies[*at]).collect();
            panic!(
                "{}: rule {rule} should have decided with {}; it was {verdict}, and the counters of {hit:?} are not \
                 what they should be\npacket {packet:02x?}",
                self.name, self.verdicts[rule]
            );
        }
    }

    fn hits(&self, rule: usize) -> u64 {
        let of_row = self.counters.info().value_size as usize / 16;
        self.counters.sum_per_cpu((rule / of_row) as u32).unwrap()[rule % of_row * 2]
    }

    fn all_hits(&self) -> Vec<u64> {
        self.counters.sums_per_cpu().unwrap().into_iter().step_by(2).take(self.tallies.len()).collect()
    }

    /// No other counter has changed.
    pub(crate) fn compare_counters(&self) {
        assert_eq!(self.all_hits(), self.tallies, "{}", self.name);
    }

    /// How the packets were spread over the rules, for people.
    pub(crate) fn spread(&self) -> String {
        let Some((default, rules)) = self.tallies.split_last() else { return String::new() };
        format!("{} rules hit, {default} packets hit none", rules.iter().filter(|tally| **tally > 0).count())
    }
}

fn rules(name: &str, text: &str) -> Rules {
    let format = Some(import::Format::Classbench);
    let request = import::Request { format, name, chain: None, interface: None, verdict: Verdict::Drop };
    let imported = import::import(text, &request).unwrap();
    assert!(imported.left_out.is_empty(), "{name}: {:?}", imported.left_out);
    let document = policy::parse(&imported.policy).unwrap();
    let request = policy::Request { policy: None, file: name, inbound: true, resolve: None };
    policy::resolve(&document, &request, &mut |path| panic!("{path}")).unwrap()
}
