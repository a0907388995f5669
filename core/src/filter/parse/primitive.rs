//! Tests that begin with a word of the language.

use crate::near;
use crate::problem::{Problem, Span};

use super::super::ast::{ByteTest, Cast, Direction, Expr, Llc, Primitive, Protocol};
use super::super::scan::Kind;
use super::super::words;
use super::{Operand, Parser, Qualifier, Subject, primitive};

impl Parser<'_> {
    /// A test that begins with `word`, and the qualifiers that hold behind it.
    pub(super) fn term(&mut self, word: &'static str) -> Result<(Operand, Option<Qualifier>), Problem> {
        let start = self.span();
        if let Some(protocol) = Protocol::from_word(word) {
            self.at += 1;
            return self.protocol(protocol, start);
        }
        if matches!(word, "src" | "dst" | "host" | "net" | "port" | "portrange" | "proto" | "protochain" | "gateway") {
            return self.head(None, start);
        }
        let found = match word {
            "broadcast" | "multicast" => self.cast(None)?,
            "and" | "or" | "mask" => return Err(self.unexpected("expected a test: tcp, host 192.0.2.1, port 80, …")),
            _ => self.other(word)?,
        };
        Ok((Operand::Term(primitive(found, self.since(start.start))), None))
    }

    /// What follows a protocol.
    fn protocol(&mut self, protocol: Protocol, start: Span) -> Result<(Operand, Option<Qualifier>), Problem> {
        let found = match self.peek() {
            Kind::Word("src" | "dst" | "host" | "net" | "port" | "portrange" | "proto" | "protochain" | "gateway") => {
                return self.head(Some(protocol), start);
            }
            Kind::Word("broadcast" | "multicast") => self.cast(Some(protocol))?,
            Kind::Name(_) if self.set_follows() => return self.head(Some(protocol), start),
            Kind::Name(_) if protocol == Protocol::Tcp => self.flags()?,
            Kind::Symbol("!") if protocol == Protocol::Tcp => self.flags()?,
            _ if protocol == Protocol::Ether => {
                return Err(Problem::new(start, "every packet is an Ethernet frame")
                    .hint("expected what of it: ether src, ether proto, ether[0], …"));
            }
            _ => Primitive::Protocol(protocol),
        };
        Ok((Operand::Term(primitive(found, self.since(start.start))), None))
    }

    /// Qualifiers and the operand behind them.
    fn head(&mut self, protocol: Option<Protocol>, start: Span) -> Result<(Operand, Option<Qualifier>), Problem> {
        let qualifier = self.qualifier(protocol)?;
        if self.peek() == &Kind::Symbol(".") {
            let found = self.tuple(qualifier, start.start)?;
            return Ok((Operand::Term(found), None));
        }
        if self.set_follows() {
            let found = self.set(qualifier, start.start)?;
            return Ok((Operand::Term(found), None));
        }
        let span = self.span();
        if let Some(word) = self.word() {
            return Err(Problem::new(span, format!("{word} is a word of the language"))
                .hint(format!("expected an address, a name or a number; the name is written \\{word}")));
        }
        match self.operand(Some(qualifier))?.0 {
            Operand::Term(_) => Err(Problem::new(span, "no address, name or number")),
            id => Ok((Operand::Term(self.id(id, Some(qualifier))?), Some(qualifier))),
        }
    }

    /// The words behind a protocol that say what the operand is.
    pub(super) fn qualifier(&mut self, protocol: Option<Protocol>) -> Result<Qualifier, Problem> {
        let direction = self.direction();
        let kind = match self.word() {
            Some("host") => Subject::Host,
            Some("net") => Subject::Net,
            Some("port") => Subject::Port,
            Some("portrange") => Subject::Portrange,
            Some("proto") if direction.is_none() => Subject::Proto,
            Some("protochain") if direction.is_none() => Subject::Protochain,
            Some("gateway") => {
                return Err(Problem::new(
                    self.span(),
                    "gateway needs names to be looked up in /etc/ethers, and is not supported",
                )
                .hint("it stands for: ether host ADDRESS and not host ADDRESS"));
            }
            _ => Subject::Unsaid,
        };
        self.at += usize::from(kind != Subject::Unsaid);
        Ok(Qualifier { protocol, direction, kind })
    }

    /// `src`, `dst`, `src or dst`, `src and dst`.
    fn direction(&mut self) -> Option<Direction> {
        let (first, other) = match self.word()? {
            "src" => (Direction::Src, "dst"),
            "dst" => (Direction::Dst, "src"),
            _ => return None,
        };
        self.at += 1;
        let both = match self.peek() {
            Kind::Word("or") => Direction::Either,
            Kind::Word("and") => Direction::Both,
            _ => return Some(first),
        };
        if self.ahead(1) != &Kind::Word(other) {
            return Some(first);
        }
        self.at += 2;
        Some(both)
    }

    /// `broadcast`, `multicast`.
    fn cast(&mut self, protocol: Option<Protocol>) -> Result<Primitive, Problem> {
        let span = self.span();
        let broadcast = self.next() == Kind::Word("broadcast");
        let cast = match protocol {
            None | Some(Protocol::Ether) => Cast::Ether,
            Some(Protocol::Ip) => Cast::V4,
            Some(Protocol::Ip6) if !broadcast => Cast::V6,
            Some(other) => {
                return Err(Problem::new(span, format!("{} has no such addresses", other.word()))
                    .hint("expected ether, ip or, before multicast, ip6"));
            }
        };
        Ok(if broadcast { Primitive::Broadcast(cast) } else { Primitive::Multicast(cast) })
    }

    /// Tests that have no qualifiers.
    fn other(&mut self, word: &'static str) -> Result<Primitive, Problem> {
        let span = self.span();
        self.at += 1;
        Ok(match word {
            "less" => Primitive::Less(self.expect_number()?),
            "greater" => Primitive::Greater(self.expect_number()?),
            "byte" => self.byte()?,
            "inbound" => Primitive::Inbound,
            "outbound" => Primitive::Outbound,
            "ifindex" => Primitive::Ifindex(self.expect_number()?),
            "vlan" => Primitive::Vlan(self.at_most(0xfff, "a VLAN")?),
            "mpls" => Primitive::Mpls(self.at_most(0xf_ffff, "an MPLS label")?),
            "pppoed" => Primitive::Pppoed,
            "pppoes" => Primitive::Pppoes(self.at_most(0xffff, "a PPPoE session")?),
            "geneve" => Primitive::Geneve(self.at_most(0xff_ffff, "a GENEVE network")?),
            "llc" => Primitive::Llc(self.llc()?),
            _ => {
                let link = words::ELSEWHERE.iter().find(|(_, words)| words.contains(&word)).map(|(link, _)| *link);
                let what = match link {
                    Some(link) => format!("{word} is about {link}, not about Ethernet"),
                    None => format!("{word} has no meaning on Ethernet"),
                };
                return Err(Problem::new(span, what));
            }
        })
    }

    fn expect_number(&mut self) -> Result<u32, Problem> {
        match self.peek() {
            Kind::Number(number) => {
                let number = *number;
                self.at += 1;
                Ok(number)
            }
            _ => Err(self.unexpected("expected a number")),
        }
    }

    /// A number, perhaps in parentheses, if there is one.
    fn number_if_any(&mut self) -> Result<Option<u32>, Problem> {
        match self.peek() {
            Kind::Number(_) => self.expect_number().map(Some),
            Kind::Symbol("(") => self.deeper(|parser| {
                parser.at += 1;
                let number = parser.number_if_any()?;
                if number.is_none() {
                    return Err(parser.unexpected("expected a number"));
                }
                parser.expect_symbol(")")?;
                Ok(number)
            }),
            _ => Ok(None),
        }
    }

    fn at_most(&mut self, most: u32, what: &str) -> Result<Option<u32>, Problem> {
        let span = self.span();
        match self.number_if_any()? {
            Some(number) if number > most => Err(Problem::new(span, format!("{number} is not the number of {what}"))
                .hint(format!("the highest is {most}"))),
            number => Ok(number),
        }
    }

    /// `byte INDEX OPERATOR VALUE`, behind its first word.
    fn byte(&mut self) -> Result<Primitive, Problem> {
        let index = self.expect_number()?;
        let test = match self.peek() {
            Kind::Symbol("=") => ByteTest::Equal,
            Kind::Symbol("<") => ByteTest::Less,
            Kind::Symbol(">") => ByteTest::Greater,
            Kind::Symbol("&") => ByteTest::And,
            Kind::Symbol("|") => ByteTest::Or,
            _ => return Err(self.unexpected("expected = < > & or |")),
        };
        self.at += 1;
        Ok(Primitive::Byte(index, test, self.expect_number()?))
    }

    /// The type behind `llc`, if there is one.
    fn llc(&mut self) -> Result<Llc, Problem> {
        let span = self.span();
        let name = match self.peek() {
            Kind::Name(name) => name.to_ascii_lowercase(),
            Kind::Word("rnr") => "rnr".to_string(),
            _ => return Ok(Llc::Any),
        };
        self.at += 1;
        let found = match name.as_str() {
            "i" => Some(Llc::Information),
            "s" => Some(Llc::Supervisory),
            "u" => Some(Llc::Unnumbered),
            name => Llc::TYPES.iter().find(|(known, _)| *known == name).map(|(_, llc)| *llc),
        };
        found.ok_or_else(|| {
            let names = Llc::TYPES.iter().map(|(name, _)| *name).chain(["i", "s", "u"]);
            let names: Vec<String> = names.map(str::to_string).collect();
            let hint = near::suggestion(&name, "LLC types", &names);
            Problem::new(span, format!("no LLC frame is known as {name}")).hint(hint)
        })
    }

    /// The flags behind `tcp`.
    fn flags(&mut self) -> Result<Primitive, Problem> {
        let (mut set, mut clear) = (0, 0);
        loop {
            let negated = self.accept_symbol("!");
            let span = self.span();
            let Kind::Name(name) = self.next() else {
                return Err(Problem::new(span, "no TCP flag").hint("expected one: tcp syn,!ack"));
            };
            let Some((_, bit)) = words::FLAGS.iter().find(|(known, _)| *known == name) else {
                let names: Vec<String> = words::FLAGS.iter().map(|(name, _)| (*name).to_string()).collect();
                let hint = near::suggestion(&name, "TCP flags", &names);
                return Err(Problem::new(span, format!("tcp has no flag {name}")).hint(hint));
            };
            *(if negated { &mut clear } else { &mut set }) |= bit;
            if set & clear != 0 {
                return Err(Problem::new(span, format!("{name} cannot be set and not set")));
            }
            if !self.accept_symbol(",") {
                return Ok(Primitive::Flags(set, clear));
            }
        }
    }

    /// `payload starts …` and `in SET`, if one of them stands here.
    pub(super) fn own_primitive(&mut self) -> Result<Option<Expr>, Problem> {
        let start = self.span();
        if self.set_follows() {
            return self.set(Qualifier::default(), start.start).map(Some);
        }
        let is = |kind: &Kind, name: &str| matches!(kind, Kind::Name(found) if found == name);
        if !is(self.peek(), "payload") || !is(self.ahead(1), "starts") {
            return Ok(None);
        }
        self.at += 2;
        let span = self.span();
        match self.next() {
            Kind::Text(bytes) if !bytes.is_empty() => {
                Ok(Some(primitive(Primitive::Payload(bytes), self.since(start.start))))
            }
            _ => {
                Err(Problem::new(span, "no text to compare with")
                    .hint("expected one in quotes: payload starts \"GET \""))
            }
        }
    }
}
