//! Texts to begin with, and what becomes of them.

/// A generator of random numbers that is the same everywhere (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("a small number")
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const FILES: [&str; 9] = [
    "set office  = { 192.0.2.0/24, 2001:db8::/32 }\nset blocked = file \"blocked.txt\" # live\n\npolicy edge {\n  \
     drop when src in blocked\n  pass when src in office\n  limit 100/s per src burst 200 when tcp[tcpflags] & tcp-syn \
     != 0\n  sample 1/1000 snap 64 when udp\n  count web when tcp dst port in {80, 443}\n  drop when udp and not src port \
     53\n  default pass\n}\n\ntest \"x\" on edge {\n  tcp 198.51.100.7:40000 > 10.0.0.80:80 syn => pass\n  udp \
     198.51.100.7:999 > 10.0.0.80:69 payload \"a\\x00;\" => drop\n}\n",
    "set web = { 192.0.2.1 . tcp . 443, 2001:db8::1 . 53\n  10.0.0.1 . proto 47 02:00:00:00:00:01 . ::1 }\ndrop when dst . proto \
     . dst port in web and not src . dst in {1.2.3.4 . 5.6.7.8, ::1 . ::2}\npass when ether src .\n src in web",
    "drop when udp; pass when arp\ndefault drop # all else",
    "policy a on docker:web traffic from { redirect eth1 when (ip\n # c\n or ip6) and ether src in {02:00:00:00:00:01}\n}\n\
     policy b { reflect when payload starts \"GET \\\"# \" ; tx; abort }",
    "set p = {\n  80, 443 # web\n\n  1000-2000\n  domain,\n}\nset src 10.0.0.1 when tcp dst port in p\nset ether dst \
     02:00:00:00:00:02\nset vlan push 10 when not vlan\nset vlan pop\nset dscp 46\nset ttl 1\nset dst port 80\n\
     set dst 2001:db8::1\nlimit 10mbit/s burst 1mbit per src,dst,src port,dst port,proto",
    "test \"packets\" {\n  arp who-has 10.0.0.1 tell 10.0.0.2 => pass\n  icmp6 fe80::1 > ff02::1 neighbor-solicitation \
     vlan 5 => pass\n  ip proto 89 1.2.3.4 > 5.6.7.8 frag 100+ len 90 => drop\n  tcp [::1]:1 > [::2]:2 syn,ack ext 0,60 \
     cut 60 => redirect eth0\n  hex \"00 11 22:33\" => drop\n  ether type 0x88cc ether src 02:00:00:00:00:07 => pass\n}\npass",
    "pool cats via nat { # live\n  10.0.1.2:8080 weight 2\n  [2001:db8::2]:8080 id 7 drain; docker:web:8080\n  netns:blue/eth0\n\n  \
     hash 5tuple\n  sessions 100k\n  timeout 5m\n  check http \"/healthz\" port 8080 every 2s timeout 1s rise 2 fall 3\n}\n\
     route cats when dst host 10.0.0.80 and tcp dst port 80\ndecap when ip proto 4; default route cats\n\
     test \"x\" { tcp 1.2.3.4:5 > 10.0.0.80:80 => route cats }",
    "pool a via fullnat from 192.0.2.1, 2001:db8::1 { 10.0.0.1; 10.0.0.1:80 weight 0; 2001:db8::3 }\npool b via gue port 1 \
     from 10.99.0.0/16 {\n10.0.0.1 id 1\n10.0.0.2 id 2\nhash quic\ncheck exec \"a # \\\"b\\\"\" }\npolicy p { route a when \
     tcp\nroute b when udp\nroute b }",
    "pool a via ipip { podman:db; check tcp port 1 every 500ms }\npool b via l2 { 10.0.0.1 }\ndecap\nroute b",
];

const WORDS: [&str; 123] = [
    "set",
    "policy",
    "test",
    "pool",
    "on",
    "traffic",
    "to",
    "from",
    "default",
    "pass",
    "drop",
    "reflect",
    "tx",
    "abort",
    "redirect",
    "count",
    "sample",
    "limit",
    "when",
    "per",
    "burst",
    "snap",
    "file",
    "src",
    "dst",
    "port",
    "proto",
    "ether",
    "ttl",
    "dscp",
    "vlan",
    "push",
    "pop",
    "and",
    "or",
    "not",
    "in",
    "payload",
    "starts",
    "tcp",
    "udp",
    "ip",
    "ip6",
    "icmp",
    "arp",
    "host",
    "net",
    "portrange",
    "len",
    "mpls",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ".",
    "=",
    "=>",
    ">",
    "<",
    "&&",
    "||",
    "!",
    "&",
    "+",
    "-",
    "/",
    "*",
    "#",
    "\"",
    "\\",
    "\n",
    "\r\n",
    "\n\n",
    "\t",
    "route",
    "decap",
    "via",
    "nat",
    "fullnat",
    "ipip",
    "gue",
    "l2",
    "weight",
    "id",
    "drain",
    "hash",
    "5tuple",
    "quic",
    "sessions",
    "timeout",
    "check",
    "http",
    "exec",
    "every",
    "rise",
    "fall",
    "100k",
    "5m",
    "10.0.0.1:80",
    "docker:web",
    "0",
    "1",
    "80",
    "65536",
    "1/100",
    "5k/s",
    "1gbit/s",
    "10.0.0.0/8",
    "1.2.3.4",
    "::1",
    "2001:db8::/32",
    "02:00:00:00:00:01",
    "a",
    "web",
    "\"x\"",
    "\u{e4}",
    "\u{2028}",
    "\u{1f600}",
    "\0",
];

/// Filter expressions.
const FILTERS: [&str; 12] = [
    "udp",
    "tcp port 80 or 443",
    "not (arp or icmp6)",
    "src net 10.0.0.0/8 and dst portrange 1000-2000",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) = tcp-syn",
    "ip[6:2] & 0x1fff != 0",
    "vlan 10 and ip6 host 2001:db8::1",
    "ether host 02:00:00:00:00:01",
    "tcp syn,!ack",
    "dst in {10.0.0.1, 2001:db8::/32}",
    "payload starts \"GET \"",
    "len > 100 && ip proto \\udp",
];

/// Where texts come from.
pub(crate) struct Texts {
    files: Vec<String>,
    filters: Vec<String>,
}

impl Texts {
    pub(crate) fn new() -> Self {
        let mut filters: Vec<String> = FILTERS.iter().map(ToString::to_string).collect();
        if let Some(path) = std::env::var_os("XDPILOT_FUZZ_TEXTS") {
            let more = std::fs::read_to_string(path).expect("the file of expressions");
            filters.extend(more.lines().map(ToString::to_string));
        }
        Texts { files: FILES.iter().map(ToString::to_string).collect(), filters }
    }

    /// Texts to be tried as they are.
    pub(crate) fn whole(&self) -> Vec<String> {
        let rules = self.filters.iter().map(|filter| format!("drop when {filter}"));
        self.files.iter().cloned().chain(rules).collect()
    }

    /// The next text, and then some mutations: mostly a rule or a few words, at times a file, many rules or many words.
    pub(crate) fn next(&self, random: &mut Random) -> String {
        let mut text = match random.below(100) {
            0..6 => random.pick(&self.files).clone(),
            6..9 => (0..random.below(40)).map(|_| *random.pick::<&str>(&WORDS)).collect::<Vec<_>>().join(" "),
            9..12 => (0..random.below(40)).map(|_| *random.pick::<&str>(&WORDS)).collect(),
            12..24 => (0..=random.below(4)).map(|_| self.rule(random)).collect(),
            24..40 => (0..random.below(6)).map(|_| *random.pick::<&str>(&WORDS)).collect::<Vec<_>>().join(" "),
            40..70 => format!("drop when {}", random.pick(&self.filters)),
            _ => format!("drop when {} and {}", random.pick(&self.filters), random.pick(&self.filters)),
        };
        for _ in 0..random.below(4) {
            mutate(&mut text, random);
        }
        text
    }

    fn rule(&self, random: &mut Random) -> String {
        const ACTIONS: [&str; 9] = [
            "drop",
            "pass",
            "count a",
            "limit 5/s per src",
            "redirect eth0",
            "sample 1/2",
            "reflect",
            "set ttl 5",
            "decap",
        ];
        const JOINTS: [&str; 6] = [" and ", " or ", "\n  && ", " || not ", " and\n# c\n", ")and("];
        const ENDS: [&str; 4] = ["\n", ";", " # comment\n", "\n\n\n"];
        let mut filter = random.pick(&self.filters).clone();
        for _ in 0..random.below(3) {
            filter += random.pick::<&str>(&JOINTS);
            filter += random.pick::<String>(&self.filters);
        }
        let filter = if filter.contains(")and(") { format!("({filter})") } else { filter };
        format!("{} when {filter}{}", random.pick(&ACTIONS), random.pick(&ENDS))
    }
}

/// A place between characters.
fn place(text: &str, random: &mut Random) -> usize {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn mutate(text: &mut String, random: &mut Random) {
    let (a, b) = (place(text, random), place(text, random));
    let (start, near) = (a.min(b), a.min(b) + random.below(12));
    let end = if near < text.len() && text.is_char_boundary(near) { near } else { a.max(b) };
    match random.below(7) {
        0 | 1 => text.insert_str(a, random.pick::<&str>(&WORDS)),
        2 => text.replace_range(start..end, ""),
        3 => text.replace_range(start..end, random.pick::<&str>(&WORDS)),
        4 => {
            let piece = text[start..end].to_string();
            text.insert_str(b, &piece);
        }
        5 => text.insert(a, char::from(u8::try_from(random.below(128)).expect("ASCII"))),
        _ => text.insert_str(a, &" ".repeat(random.below(3))),
    }
}
