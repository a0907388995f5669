//! Addresses, names and numbers under their qualifiers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::near;
use crate::problem::{Problem, Span};

use super::super::ast::{Carrier, Direction, Expr, Family, Primitive, Protocol, Transport};
use super::super::names;
use super::super::scan::Kind;
use super::super::words;
use super::{Parser, Qualifier, Subject, primitive, unqualified};

impl Parser<'_> {
    /// An address or a name.
    pub(super) fn named_operand(&mut self, qualifier: Option<Qualifier>) -> Result<Expr, Problem> {
        let start = self.span();
        let Some(qualifier) = qualifier else { return Err(self.unknown()) };
        let found = match self.next() {
            Kind::Dotted(spelling) => {
                let mask = self.mask()?;
                let span = self.since(start.start);
                match mask {
                    Some(mask) => network(&spelling, mask, qualifier, span)?,
                    None => address(&spelling, qualifier, span)?,
                }
            }
            Kind::V6(address) => {
                let length = self.prefix_length()?;
                v6(address, length.unwrap_or(128), qualifier, self.since(start.start))?
            }
            Kind::Mac(address) => match (qualifier.protocol, qualifier.kind) {
                (Some(Protocol::Ether), Subject::Unsaid | Subject::Host) => {
                    Primitive::Mac(direction(qualifier), address)
                }
                _ => {
                    return Err(Problem::new(start, "an Ethernet address where none is expected")
                        .hint("expected ether before it: ether host, ether src"));
                }
            },
            Kind::Name(name) => self::name(&name, qualifier, start.clone())?,
            _ => return Err(unqualified(start)),
        };
        Ok(primitive(found, self.since(start.start)))
    }

    /// The error for a name or an address that nothing qualifies.
    fn unknown(&self) -> Problem {
        let span = self.span();
        let Kind::Name(name) = self.peek() else { return unqualified(span) };
        let near = near::near(name, words::all());
        let what = format!("unknown word {name}");
        Problem::new(span, what).hint(if near.is_empty() {
            format!("if it is a name, a word before it says of what: host {name}, port {name}")
        } else {
            format!("did you mean {}?", near.join(", "))
        })
    }

    /// `/LENGTH` or `mask MASK` behind an IPv4 address.
    fn mask(&mut self) -> Result<Option<Mask>, Problem> {
        if self.accept_word("mask") {
            let span = self.span();
            let Kind::Dotted(spelling) = self.next() else {
                return Err(Problem::new(span, "no mask").hint("expected one like 255.255.0.0"));
            };
            return Ok(Some(Mask::Written(dotted(&spelling, span)?.0)));
        }
        Ok(self.prefix_length()?.map(Mask::Length))
    }

    fn prefix_length(&mut self) -> Result<Option<u32>, Problem> {
        if !self.accept_symbol("/") {
            return Ok(None);
        }
        let span = self.span();
        match self.next() {
            Kind::Number(length) => Ok(Some(length)),
            _ => Err(Problem::new(span, "no prefix length").hint("expected a number")),
        }
    }
}

/// How a network's mask is written.
enum Mask {
    Length(u32),
    Written(u32),
}

fn direction(qualifier: Qualifier) -> Direction {
    qualifier.direction.unwrap_or(Direction::Either)
}

/// An IPv4 address of one to four bytes, the missing ones zero, and the mask of those that were written.
fn dotted(spelling: &str, span: Span) -> Result<(u32, u32), Problem> {
    let bytes: Option<Vec<u32>> = spelling
        .split('.')
        .map(|part| {
            let digits = part.trim_start_matches('0');
            let decimal = part.bytes().all(|byte| byte.is_ascii_digit());
            decimal.then(|| if digits.is_empty() { Some(0) } else { digits.parse().ok() }).flatten()
        })
        .collect();
    let bytes = bytes.filter(|bytes| bytes.iter().all(|byte| *byte < 256) && bytes.len() <= 4);
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Err(Problem::new(span, format!("{spelling} is no IPv4 address")).hint("each part is at most 255"));
    };
    let missing = 8 * (4 - u32::try_from(bytes.len()).unwrap_or(4));
    let address = bytes.iter().fold(0, |address: u32, byte| address << 8 | byte);
    Ok((address << missing, u32::MAX << missing))
}

/// An IPv4 address or the beginning of one: `192.168`.
fn address(spelling: &str, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    match qualifier.kind {
        Subject::Unsaid | Subject::Host | Subject::Net => {}
        other => return Err(not_an_address(other, span)),
    }
    if qualifier.protocol == Some(Protocol::Decnet) {
        return decnet(spelling, qualifier, span);
    }
    let (address, mask) = dotted(spelling, span.clone())?;
    v4(address, mask, qualifier, span)
}

/// `AREA.NODE`; what does not fit is cut off, as libpcap does.
fn decnet(spelling: &str, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    let malformed = || Problem::new(span, format!("{spelling} is no DECnet address")).hint("expected AREA.NODE: 10.15");
    let (area, rest) = spelling.split_once('.').ok_or_else(malformed.clone())?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let number = |digits: &str| {
        let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        decimal.then(|| digits.parse::<i64>().unwrap_or(i64::MAX))
    };
    let area = number(area).ok_or_else(malformed.clone())?;
    let node = number(rest.get(..digits).unwrap_or_default()).ok_or_else(malformed)?;
    let address = (area << 10 & 0xfc00) | node & 0x3ff;
    Ok(Primitive::Decnet(direction(qualifier), u16::try_from(address).unwrap_or_default()))
}

/// `NETWORK/LENGTH` or `NETWORK mask MASK`.
fn network(spelling: &str, mask: Mask, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    let (address, _) = dotted(spelling, span.clone())?;
    let mask = match mask {
        Mask::Length(length @ 0..=32) => u32::MAX.checked_shl(32 - length).unwrap_or(0),
        Mask::Length(_) => return Err(Problem::new(span, "a prefix length of IPv4 is at most 32")),
        Mask::Written(mask) => mask,
    };
    if address & !mask != 0 {
        let network = Ipv4Addr::from_bits(address & mask);
        return Err(Problem::new(span, "bits of the address are set that the mask leaves out")
            .hint(format!("the network is {network}")));
    }
    if qualifier.kind != Subject::Net {
        return Err(Problem::new(span, "a mask is for networks").hint("expected net before it"));
    }
    v4(address, mask, qualifier, span)
}

fn v4(address: u32, mask: u32, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    let direction = direction(qualifier);
    if qualifier.protocol == Some(Protocol::Decnet) {
        let low = u16::try_from(address & 0xffff).unwrap_or_default();
        return Ok(Primitive::Decnet(direction, low));
    }
    let family = match family(qualifier, span.clone())? {
        Family::V6 => return Err(Problem::new(span, "an IPv4 address behind ip6")),
        other => other,
    };
    Ok(Primitive::V4 { family, direction, address: Ipv4Addr::from_bits(address), mask })
}

fn v6(address: Ipv6Addr, length: u32, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    let Some(length) = u8::try_from(length).ok().filter(|length| *length <= 128) else {
        return Err(Problem::new(span, "a prefix length of IPv6 is at most 128"));
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    if address.to_bits() & !mask != 0 {
        let network = Ipv6Addr::from_bits(address.to_bits() & mask);
        return Err(Problem::new(span, "bits of the address are set that the prefix length leaves out")
            .hint(format!("the network is {network}/{length}")));
    }
    match qualifier.kind {
        Subject::Net => {}
        Subject::Unsaid | Subject::Host if length == 128 => {}
        Subject::Unsaid | Subject::Host => {
            return Err(Problem::new(span, "a prefix length is for networks").hint("expected net before it"));
        }
        other => return Err(not_an_address(other, span)),
    }
    match family(qualifier, span.clone())? {
        Family::Any | Family::V6 => Ok(Primitive::V6(direction(qualifier), address, length)),
        Family::V4 | Family::Arp | Family::Rarp => {
            Err(Problem::new(span, "an IPv6 address behind ip, arp or rarp").hint("expected ip6, or nothing"))
        }
    }
}

fn not_an_address(subject: Subject, span: Span) -> Problem {
    let expected = match subject {
        Subject::Port | Subject::Portrange => "port",
        _ => "protocol",
    };
    Problem::new(span, format!("an address where a {expected} is expected"))
}

/// Whose addresses are meant.
fn family(qualifier: Qualifier, span: Span) -> Result<Family, Problem> {
    match qualifier.protocol {
        None => Ok(Family::Any),
        Some(Protocol::Ip) => Ok(Family::V4),
        Some(Protocol::Ip6) => Ok(Family::V6),
        Some(Protocol::Arp) => Ok(Family::Arp),
        Some(Protocol::Rarp) => Ok(Family::Rarp),
        Some(Protocol::Ether) => {
            Err(Problem::new(span, "this is no Ethernet address").hint("expected one like 02:00:00:00:00:01"))
        }
        Some(other) => {
            let word = other.word();
            Err(Problem::new(span, format!("{word} has no such addresses"))
                .hint(format!("a test of each: {word} and host …")))
        }
    }
}

/// A number.
pub(super) fn number(number: u32, qualifier: Option<Qualifier>, span: Span) -> Result<Primitive, Problem> {
    let Some(qualifier) = qualifier else { return Err(unqualified(span)) };
    match qualifier.kind {
        Subject::Unsaid | Subject::Host | Subject::Net => {
            let (mut address, mut mask) = (number, u32::MAX);
            if qualifier.kind == Subject::Net && qualifier.protocol != Some(Protocol::Decnet) {
                // `net 10` is 10.0.0.0/8.
                while address != 0 && address >> 24 == 0 {
                    (address, mask) = (address << 8, mask << 8);
                }
            }
            v4(address, mask, qualifier, span)
        }
        Subject::Port | Subject::Portrange => {
            let port = port_number(number, span.clone())?;
            let (transport, direction) = (transport(qualifier, span)?, direction(qualifier));
            Ok(match qualifier.kind {
                Subject::Portrange => Primitive::PortRange(transport, direction, port..=port),
                _ => Primitive::Port(transport, direction, port),
            })
        }
        Subject::Proto => Ok(Primitive::Number(carrier(qualifier, span)?, number)),
        Subject::Protochain => Ok(Primitive::Chain(chain_carrier(qualifier, span)?, number)),
    }
}

fn port_number(number: u32, span: Span) -> Result<u16, Problem> {
    u16::try_from(number).map_err(|_| Problem::new(span, format!("{number} is no port")).hint("the highest is 65535"))
}

fn transport(qualifier: Qualifier, span: Span) -> Result<Option<Transport>, Problem> {
    match qualifier.protocol {
        None => Ok(None),
        Some(Protocol::Tcp) => Ok(Some(Transport::Tcp)),
        Some(Protocol::Udp) => Ok(Some(Transport::Udp)),
        Some(Protocol::Sctp) => Ok(Some(Transport::Sctp)),
        Some(other) => {
            Err(Problem::new(span, format!("{} has no ports", other.word())).hint("ports are of tcp, udp and sctp"))
        }
    }
}

fn carrier(qualifier: Qualifier, span: Span) -> Result<Carrier, Problem> {
    match qualifier.protocol {
        None => Ok(Carrier::Any),
        Some(Protocol::Ip) => Ok(Carrier::V4),
        Some(Protocol::Ip6) => Ok(Carrier::V6),
        Some(Protocol::Ether) => Ok(Carrier::Ether),
        Some(Protocol::Iso) => Ok(Carrier::Iso),
        Some(Protocol::Isis) => Ok(Carrier::Isis),
        Some(other) => Err(Problem::new(span, format!("{} carries no protocols by number", other.word()))
            .hint("expected ip, ip6, ether, iso or isis before proto")),
    }
}

fn chain_carrier(qualifier: Qualifier, span: Span) -> Result<Carrier, Problem> {
    match qualifier.protocol {
        None | Some(Protocol::Ip | Protocol::Ip6) => carrier(qualifier, span),
        Some(other) => Err(Problem::new(span, format!("{} has no chain of headers", other.word()))
            .hint("expected ip or ip6 before protochain")),
    }
}

/// A name.
fn name(name: &str, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    match qualifier.kind {
        Subject::Unsaid | Subject::Host => host(name, qualifier, span),
        Subject::Net => Err(Problem::new(span, format!("names of networks are not known: {name}"))
            .hint("expected an address: net 10.0.0.0/8")),
        Subject::Port => {
            let transport = transport(qualifier, span.clone())?;
            let Some((port, known)) = port(name) else { return Err(unknown_port(name, span)) };
            Ok(Primitive::Port(agree(name, transport, known, span)?, direction(qualifier), port))
        }
        Subject::Portrange => port_range(name, qualifier, span),
        Subject::Proto => {
            let carrier = carrier(qualifier, span.clone())?;
            Ok(Primitive::Number(carrier, protocol(name, carrier, span)?))
        }
        Subject::Protochain => {
            let carrier = chain_carrier(qualifier, span.clone())?;
            Ok(Primitive::Chain(carrier, protocol(name, carrier, span)?))
        }
    }
}

/// A host's name, or an address behind a backslash.
fn host(name: &str, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    if qualifier.protocol == Some(Protocol::Decnet) {
        return Err(Problem::new(span, format!("{name} is no DECnet address")).hint("expected AREA.NODE: 10.15"));
    }
    let family = family(qualifier, span.clone())?;
    match name.parse() {
        Ok(IpAddr::V4(address)) => v4(address.to_bits(), u32::MAX, qualifier, span),
        Ok(IpAddr::V6(address)) => v6(address, 128, qualifier, span),
        Err(_) => Ok(Primitive::Name(family, direction(qualifier), name.to_string())),
    }
}

/// A port's name or, behind a backslash or in a range, its number: and of which protocol it is, if of one only.
fn port(name: &str) -> Option<(u16, Option<Transport>)> {
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The C library cuts off what does not fit.
        let number = if name.is_empty() { 0 } else { name.parse().unwrap_or(u64::MAX) };
        return Some((u16::try_from(number & 0xffff).unwrap_or_default(), None));
    }
    let service = names::service(name)?;
    let known = match (service.tcp, service.udp) {
        (true, false) => Some(Transport::Tcp),
        (false, true) => Some(Transport::Udp),
        _ => None,
    };
    Some((service.port, known))
}

/// The protocol of a port whose name is known for one, under a qualifier that may say another.
fn agree(
    name: &str,
    said: Option<Transport>,
    known: Option<Transport>,
    span: Span,
) -> Result<Option<Transport>, Problem> {
    match (said, known) {
        (Some(said), Some(known)) if said != known => {
            let (said, known) = (said.protocol().word(), known.protocol().word());
            Err(Problem::new(span, format!("{name} is a port of {known}, not of {said}")))
        }
        (said, known) => Ok(said.or(known)),
    }
}

fn unknown_port(name: &str, span: Span) -> Problem {
    let near = near::near(name, names::services());
    let problem = Problem::new(span, format!("no port is known as {name}"));
    if near.is_empty() { problem } else { problem.hint(format!("did you mean {}?", near.join(", "))) }
}

/// `80-90`, `ftp-data` to `ftp` is not to be had: the first dash parts the two.
fn port_range(name: &str, qualifier: Qualifier, span: Span) -> Result<Primitive, Problem> {
    let said = transport(qualifier, span.clone())?;
    let (low, high, known) = match numeric_range(name) {
        Some(range) => {
            let (low, high) = range.into_inner();
            let number = |number: i64| {
                u16::try_from(number).map_err(|_| {
                    Problem::new(span.clone(), format!("{number} is no port")).hint("the highest is 65535")
                })
            };
            (number(low)?, number(high)?, None)
        }
        None => {
            let Some((first, second)) = name.split_once('-') else {
                return Err(Problem::new(span, "no range of ports").hint("expected FIRST-LAST: 8000-8080"));
            };
            let (low, low_known) = port(first).ok_or_else(|| unknown_port(first, span.clone()))?;
            let (high, high_known) = port(second).ok_or_else(|| unknown_port(second, span.clone()))?;
            (low, high, if low_known == high_known { low_known } else { None })
        }
    };
    let transport = agree(name, said, known, span)?;
    Ok(Primitive::PortRange(transport, direction(qualifier), low.min(high)..=low.max(high)))
}

/// Two numbers with a dash between them; whatever follows is not looked at, as in libpcap.
fn numeric_range(name: &str) -> Option<RangeInclusive<i64>> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (low, rest) = name.split_at_checked(digits(name))?;
    let rest = rest.strip_prefix('-')?;
    let (sign, rest) = rest.strip_prefix('-').map_or((1, rest), |rest| (-1, rest));
    let high = rest.get(..digits(rest))?;
    let number = |digits: &str| (!digits.is_empty()).then(|| digits.parse::<i64>().unwrap_or(i64::MAX));
    Some(number(low)?..=sign * number(high)?)
}

/// A protocol's name.
fn protocol(name: &str, carrier: Carrier, span: Span) -> Result<u32, Problem> {
    let (found, near) = match carrier {
        Carrier::Any | Carrier::V4 | Carrier::V6 => {
            (names::protocol(name).map(u32::from), near::near(name, names::protocols()))
        }
        Carrier::Ether => (names::ether_protocol(name).map(u32::from), near::near(name, names::ether_protocols())),
        Carrier::Iso => {
            let known = [("esis", 0x82), ("isis", 0x83), ("clnp", 0x81)];
            let found = known.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
            (found, known.iter().map(|(known, _)| known.to_string()).collect())
        }
        Carrier::Isis => (None, Vec::new()),
    };
    found.ok_or_else(|| {
        let problem = Problem::new(span, format!("no protocol is known as {name}"));
        if near.is_empty() { problem } else { problem.hint(format!("did you mean {}?", near.join(", "))) }
    })
}
