//! One policy, in the kernel and in the evaluator.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use xdpilot_core::elf;
use xdpilot_core::emit::{self, BACKENDS, CLOCK, Clock, FLOWS, Options, REPLIES, RINGS, SENDERS, TRAFFIC};
use xdpilot_core::eval::{Fate, Machine, Outcome, reflect};
use xdpilot_core::packet::{layers, protocol};
use xdpilot_core::policy::Verdict;
use xdpilot_core::route::flows::Line;
use xdpilot_core::route::layout::BACKEND;
use xdpilot_core::route::{Backend, Hop, Member, flags, reads_ids, rings, senders, translates};
use xdpilot_core::rules::Rules;
use xdpilot_kernel::load::{Loaded, Request, load};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;
use xdpilot_kernel::test_run::{self, TestRun};

use crate::history::{error_about_sent, leave_checksum};
use crate::packets::ONE_BUFFER;
use crate::pools::IDS;
use crate::random::Random;

/// A policy in both forms, and the time that both are told.
pub(crate) struct Subject<'a> {
    rules: &'a Rules,
    loaded: Loaded,
    clock: Map,
    machine: Machine<'a>,
    now: u64,
    seed: u64,
    /// The longest packet that may be run: the test run gives several buffers also to programs that take none, which no
    /// driver does.
    longest: usize,
    /// Backends that went, by their numbers.
    gone: BTreeMap<usize, Member>,
    /// Packets that were sent lately, to backends and to clients.
    sent: [Vec<Vec<u8>>; 2],
    /// How many packets had each fate: dropped, passed, sent, undone.
    pub(crate) fates: [u64; 4],
    /// How many packets of QUIC went to the backend that their connection id names.
    pub(crate) named: u64,
    /// How many errors about translated packets were sent: to backends, to clients.
    pub(crate) errors: [u64; 2],
}

impl<'a> Subject<'a> {
    pub(crate) fn new(rules: &'a Rules, seed: u64, random: &mut Random) -> Self {
        let (frags, offloads) = (random.once_in(2), !random.once_in(8));
        let options = Options { clock: Clock::Given, frags, offloads, ..Options::default() };
        let emit::Compiled { object, .. } =
            emit::compile(rules, &options).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let bytes = elf::write(&object);
        let entry = &object.functions[0].name;
        let request = Request { elf: &bytes, name: "routed", entry, ..Request::default() };
        let loaded = load(&request).unwrap_or_else(|error| {
            let log: Vec<&str> = error.log.lines().collect();
            panic!("seed {seed}: {}\n{}\n{rules:#?}", error.error, log[log.len().saturating_sub(60)..].join("\n"))
        });
        let mut machine = Machine::new(rules);
        for member in machine.router().state.members.iter_mut().flatten() {
            let mtu = *random.pick(&[1500, 1500, 1500, 1280, 9000]);
            let ifindex = *random.pick(&[0, 0, 1]);
            member.backend.hop =
                Some(Hop { ifindex, destination: [2, 0, 0, 0, 1, 1], source: [2, 0, 0, 0, 1, 2], mtu });
        }
        let hop = |mtu| Hop { ifindex: 1, destination: [2, 0, 0, 0, 2, 1], source: [2, 0, 0, 0, 2, 2], mtu };
        machine.router().offloads = offloads;
        machine.router().clients = *random.pick(&[None, Some(hop(1500)), Some(hop(1500)), Some(hop(600))]);
        let clock = loaded.map(CLOCK).unwrap();
        let (now, sent) = (1_000_000_000_000, Default::default());
        let (gone, fates, named, errors) = (BTreeMap::new(), [0; 4], 0, [0; 2]);
        let longest = if frags { usize::MAX } else { ONE_BUFFER };
        let mut subject =
            Subject { rules, loaded, clock, machine, now, seed, longest, gone, sent, fates, named, errors };
        subject.tell(true);
        subject
    }

    /// Tells the kernel the backends, their ids and the rings. Ids that no backend has any more lead to their numbers as
    /// before, unless the kernel is to `forget` them.
    fn tell(&mut self, forget: bool) {
        let router = self.machine.router();
        router.turn();
        let backends = self.loaded.map(BACKENDS).unwrap();
        // Backend 0, which is none, has the next hop to clients.
        let backend = Backend {
            address: Ipv4Addr::UNSPECIFIED.into(),
            source: Ipv4Addr::UNSPECIFIED.into(),
            source_bits: 0,
            port: None,
            pool: 0,
            id: None,
            flags: 0,
            hop: router.clients,
        };
        let nobody = Member { backend, weight: 0, name: String::new() };
        for (number, member) in (0u32..).zip(&router.state.members) {
            let none = if number == 0 { nobody.record() } else { [0; BACKEND] };
            let record = member.as_ref().map_or(none, Member::record);
            backends.update(&number.to_ne_bytes(), &record).unwrap();
        }
        if translates(&self.rules.pools) {
            let map = Mapped::new(&self.loaded.map(SENDERS).unwrap()).unwrap();
            let members = router.state.members.iter().flatten();
            members.for_each(|member| senders::note(map.words(), member.backend.address));
        }
        if reads_ids(&self.rules.pools) {
            let ids = self.loaded.map(emit::IDS).unwrap();
            let keys = ids.keys().unwrap();
            ids.delete_all(keys.iter().filter(|_| forget).map(Vec::as_slice)).unwrap();
            router.state.ids().for_each(|(key, number)| ids.update(&key, &number).unwrap());
        }
        let map = self.loaded.map(RINGS).unwrap();
        for (number, ring) in (0u32..).zip(rings(&self.rules.pools)) {
            let mut bytes: Vec<u8> = router.state.ring(&ring).into_iter().flat_map(u16::to_ne_bytes).collect();
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            map.update(&number.to_ne_bytes(), &bytes).unwrap();
        }
    }

    /// One backend is well or not, drains or not, has another weight or id, or goes; or another one comes under its number.
    pub(crate) fn change(&mut self, random: &mut Random) {
        let members = &mut self.machine.router().state.members;
        let at = 1 + random.below(members.len() - 1);
        let was = members[at].take();
        let Some(mut member) = was.clone().or_else(|| self.gone.remove(&at)) else { return };
        let Member { backend, weight, .. } = &mut member;
        let id = Some(*random.pick(&IDS));
        let is_free =
            members.iter().flatten().all(|other| (other.backend.pool, other.backend.id) != (backend.pool, id));
        match (was.is_some(), random.below(5)) {
            (true, 0) => backend.flags ^= flags::UP,
            (true, 1) => backend.flags ^= flags::DRAINS,
            (true, 2) => *weight = random.below(4) as u16,
            (true, 3) => backend.id = id.filter(|_| is_free),
            (true, _) => {
                self.gone.insert(at, member);
                return self.tell(random.once_in(2));
            }
            (false, _) => {
                backend.address = another(backend.address, random);
                (backend.id, backend.flags) = (id.filter(|_| is_free), flags::UP);
            }
        }
        members[at] = Some(member);
        self.tell(random.once_in(2));
    }

    /// Runs one packet in both; `passed` nanoseconds have gone by.
    pub(crate) fn compare(&mut self, packet: &[u8], passed: u64, random: &mut Random) {
        self.now += passed;
        self.clock.update(&0u32.to_ne_bytes(), &self.now.to_ne_bytes()).unwrap();
        let test = TestRun { packet, ingress_ifindex: 0, rx_queue: 0, repeat: 1 };
        let kernel = test_run::run(self.loaded.entry().as_fd(), &test).unwrap();
        let mut bytes = packet.to_vec();
        let outcome = self.machine.run(&mut bytes, self.now, Some(1));
        let expected = match outcome.routed.map(|routed| routed.fate) {
            Some(Fate::Drop) => 1,
            Some(Fate::Pass) => 2,
            // The test's packets come in by interface 1.
            Some(Fate::Send(0 | 1)) => 3,
            Some(Fate::Send(_)) => 4,
            None => panic!("{outcome:?}"),
        };
        assert!(
            kernel.verdict == expected && kernel.packet == bytes,
            "seed {}: {outcome:?}, the kernel says {}\npacket {}\nkernel {}\nours   {}\n{:#?}",
            self.seed,
            kernel.verdict,
            hex(packet),
            hex(&kernel.packet),
            hex(&bytes),
            self.rules.pools
        );
        self.note(packet, &outcome, bytes, random);
    }

    /// An answer to a packet that was sent lately, or an error about one.
    pub(crate) fn answer(&self, random: &mut Random) -> Option<Vec<u8>> {
        let error = random.once_in(2);
        let to_client = error && random.once_in(3);
        let sent = &self.sent[usize::from(to_client)];
        let mut packet =
            sent.get(random.below(sent.len().max(1))).filter(|packet| packet.len() <= self.longest)?.clone();
        if error {
            packet = error_about_sent(random, &packet)?;
        } else {
            reflect(&mut packet);
        }
        if !error && random.once_in(3) {
            leave_checksum(&mut packet, random.once_in(8));
        }
        if random.once_in(20) {
            let at = random.below(packet.len());
            packet[at] ^= 1 << random.below(8);
        }
        Some(packet)
    }

    fn note(&mut self, packet: &[u8], outcome: &Outcome, bytes: Vec<u8>, random: &mut Random) {
        let undone = matches!(outcome.verdict, Verdict::Pass);
        let fate = match outcome.routed.map(|routed| routed.fate) {
            _ if undone => 3,
            Some(Fate::Drop) | None => 0,
            Some(Fate::Pass) => 1,
            Some(Fate::Send(_)) => 2,
        };
        self.fates[fate] += 1;
        let backend = outcome.routed.and_then(|routed| routed.backend).map(usize::from);
        let member = backend.and_then(|number| self.machine.router().state.members[number].as_ref());
        if let Some((member, server)) = member.zip(server(packet)) {
            self.named += u64::from(member.backend.id == Some(server));
        }
        if fate < 2 {
            return;
        }
        self.errors[usize::from(undone)] += u64::from(is_translated_error(packet, &bytes));
        let sent = &mut self.sent[usize::from(undone)];
        if sent.len() < 64 {
            sent.push(bytes);
        } else {
            sent[random.below(64)] = bytes;
        }
    }

    pub(crate) fn compare_state(&mut self) {
        let traffic = self.loaded.map(TRAFFIC).unwrap();
        for (number, ours) in (0u32..).zip(&self.machine.router().traffic) {
            let kernel = traffic.sum_per_cpu(number).unwrap();
            assert_eq!(
                kernel[..3],
                ours[..],
                "seed {}: traffic of backend {number}\n{:#?}",
                self.seed,
                self.rules.pools
            );
        }
        self.compare_table(FLOWS, |machine| machine.router().lines());
        if translates(&self.rules.pools) {
            self.compare_table(REPLIES, |machine| machine.router().replies());
        }
    }

    fn compare_table(&mut self, name: &str, lines: impl for<'m> Fn(&'m mut Machine<'a>) -> &'m [Line]) {
        let map = self.loaded.map(name).unwrap();
        let mapped = Mapped::new(&map).unwrap();
        let ours = lines(&mut self.machine).iter().flatten();
        for (at, (kernel, ours)) in mapped.words().iter().zip(ours).enumerate() {
            assert_eq!(kernel.load(Ordering::Relaxed), ours.0, "seed {}: {name}, slot {at}", self.seed);
        }
    }
}

/// An address of the same IP version.
fn another(address: IpAddr, random: &mut Random) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::new(10, 10, random.below(256) as u8, random.below(256) as u8).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0xfd00, 10, 0, 0, 0, 0, 0, random.below(65_536) as u16).into(),
    }
}

/// The number of a server in the connection id behind a short header.
fn server(packet: &[u8]) -> Option<u32> {
    let transport = layers(packet).ip.filter(|ip| ip.protocol == Some(protocol::UDP))?.transport?;
    match packet.get(transport + 8..transport + 17)? {
        [0..0x80, first @ 0x40..0x80, a, b, ..] => Some(u32::from_be_bytes([0, *first & 0x3f, *a, *b]) >> 6),
        [0..0x80, 0x80..0xc0, a, b, c, ..] => Some(u32::from_be_bytes([0, *a, *b, *c])),
        [0..0x80, 0xc0..=0xff, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

/// Whether an ICMP message got another destination: echo requests and packets that are too big are answered, not sent on.
fn is_translated_error(before: &[u8], after: &[u8]) -> bool {
    let (Some(old), Some(new)) = (layers(before).ip, layers(after).ip) else { return false };
    let is_icmp = |protocol| matches!(protocol, Some(protocol::ICMP | protocol::ICMP6));
    let destination = &after[new.dst()];
    is_icmp(old.protocol)
        && is_icmp(new.protocol)
        && before[old.dst()] != *destination
        && before[old.src()] != *destination
}

/// The first bytes, for messages.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(200).map(|byte| format!("{byte:02x}")).collect()
}
