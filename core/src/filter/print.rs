//! An expression's canonical text.

use std::fmt::{self, Display, Formatter, Write};
use std::net::Ipv4Addr;

use super::Filter;
use super::ast::{
    Arithmetic, ByteTest, Carrier, Cast, Direction, Elements, End, Expr, Family, Llc, Primitive, Relation, Subject,
    Transport, TuplePart,
};
use super::scan::{self, Kind};
use super::words;

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.root.as_ref().map_or(Ok(()), |root| root.fmt(f))
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Expr::Primitive(primitive, _) => return primitive.fmt(f),
            Expr::Not(inner) => {
                f.write_str("not ")?;
                return inner.nested(f);
            }
            Expr::And(parts) => (parts, " and "),
            Expr::Or(parts) => (parts, " or "),
        };
        for (index, part) in parts.iter().enumerate() {
            f.write_str(if index > 0 { word } else { "" })?;
            part.nested(f)?;
        }
        Ok(())
    }
}

impl Expr {
    fn nested(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Expr::And(_) | Expr::Or(_) => write!(f, "({self})"),
            Expr::Primitive(..) | Expr::Not(_) => self.fmt(f),
        }
    }
}

impl Display for Primitive {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Primitive::Protocol(protocol) => f.write_str(protocol.word()),
            Primitive::Number(carrier, number) => write!(f, "{carrier}proto {number}"),
            Primitive::Chain(carrier, number) => write!(f, "{carrier}protochain {number}"),
            Primitive::Mac(direction, address) => write!(f, "ether {direction}host {}", MacText(address)),
            Primitive::V4 { family, direction, address, mask } => {
                let (ones, zeros) = (mask.leading_ones(), mask.trailing_zeros());
                match ones {
                    32 => write!(f, "{family}{direction}host {address}"),
                    _ if ones + zeros == 32 => write!(f, "{family}{direction}net {address}/{ones}"),
                    _ => write!(f, "{family}{direction}net {address} mask {}", Ipv4Addr::from_bits(*mask)),
                }
            }
            Primitive::V6(direction, address, 128) => write!(f, "ip6 {direction}host {address}"),
            Primitive::V6(direction, address, length) => write!(f, "ip6 {direction}net {address}/{length}"),
            Primitive::Decnet(direction, address) => {
                write!(f, "decnet {direction}host {}.{}", address >> 10, address & 0x3ff)
            }
            Primitive::Name(family, direction, name) => write!(f, "{family}{direction}host {}", NameText(name)),
            Primitive::Port(transport, direction, port) => {
                write!(f, "{}{direction}port {port}", TransportText(*transport))
            }
            Primitive::PortRange(transport, direction, range) => {
                write!(f, "{}{direction}portrange {}-{}", TransportText(*transport), range.start(), range.end())
            }
            Primitive::Broadcast(cast) => write!(f, "{cast} broadcast"),
            Primitive::Multicast(cast) => write!(f, "{cast} multicast"),
            Primitive::Less(number) => write!(f, "less {number}"),
            Primitive::Greater(number) => write!(f, "greater {number}"),
            Primitive::Byte(index, test, value) => write!(f, "byte {index} {test} {value}"),
            Primitive::Inbound => f.write_str("inbound"),
            Primitive::Outbound => f.write_str("outbound"),
            Primitive::Ifindex(index) => write!(f, "ifindex {index}"),
            Primitive::Vlan(number) => numbered(f, "vlan", *number),
            Primitive::Mpls(number) => numbered(f, "mpls", *number),
            Primitive::Pppoed => f.write_str("pppoed"),
            Primitive::Pppoes(number) => numbered(f, "pppoes", *number),
            Primitive::Geneve(number) => numbered(f, "geneve", *number),
            Primitive::Llc(llc) => llc.fmt(f),
            Primitive::Relation(left, relation, right) => write!(f, "{left} {} {right}", relation.symbol()),
            Primitive::In(subject, direction, elements) => write!(f, "{}in {elements}", Who(*subject, *direction)),
            Primitive::InTuples(parts, elements) => {
                for (index, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", if index > 0 { ". " } else { "" })?;
                }
                write!(f, "in {elements}")
            }
            Primitive::Payload(bytes) => write!(f, "payload starts {}", StringText(bytes)),
            Primitive::Flags(set, clear) => flags(f, *set, *clear),
        }
    }
}

fn numbered(f: &mut Formatter<'_>, word: &str, number: Option<u32>) -> fmt::Result {
    match number {
        Some(number) => write!(f, "{word} {number}"),
        None => f.write_str(word),
    }
}

fn flags(f: &mut Formatter<'_>, set: u8, clear: u8) -> fmt::Result {
    f.write_str("tcp ")?;
    let mut separator = "";
    for (mask, sign) in [(set, ""), (clear, "!")] {
        for (name, _) in words::FLAGS.iter().filter(|(_, bit)| mask & bit != 0) {
            write!(f, "{separator}{sign}{name}")?;
            separator = ",";
        }
    }
    Ok(())
}

impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Src => "src ",
            Direction::Dst => "dst ",
            Direction::Either => "",
            Direction::Both => "src and dst ",
        })
    }
}

impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::Any => "",
            Family::V4 => "ip ",
            Family::V6 => "ip6 ",
            Family::Arp => "arp ",
            Family::Rarp => "rarp ",
        })
    }
}

impl Display for Carrier {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Carrier::Any => "",
            Carrier::V4 => "ip ",
            Carrier::V6 => "ip6 ",
            Carrier::Ether => "ether ",
            Carrier::Iso => "iso ",
            Carrier::Isis => "isis ",
        })
    }
}

impl Display for Cast {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cast::Ether => "ether",
            Cast::V4 => "ip",
            Cast::V6 => "ip6",
        })
    }
}

impl Display for ByteTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ByteTest::Equal => "=",
            ByteTest::Less => "<",
            ByteTest::Greater => ">",
            ByteTest::And => "&",
            ByteTest::Or => "|",
        })
    }
}

impl Display for Llc {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Llc::Any => return f.write_str("llc"),
            Llc::Information => "llc i",
            Llc::Supervisory => "llc s",
            Llc::Unnumbered => "llc u",
            Llc::SupervisoryType(kind) | Llc::UnnumberedType(kind) => {
                let types = Llc::TYPES.iter();
                let name = types.filter(|(_, llc)| llc == self).map(|(name, _)| *name).next();
                return write!(f, "llc {}", name.map_or_else(|| kind.to_string(), str::to_string));
            }
        })
    }
}

impl Llc {
    /// The words behind `llc` that name a type of frame.
    pub(super) const TYPES: [(&'static str, Llc); 11] = [
        ("rr", Llc::SupervisoryType(0x01)),
        ("rnr", Llc::SupervisoryType(0x05)),
        ("rej", Llc::SupervisoryType(0x09)),
        ("ui", Llc::UnnumberedType(0x03)),
        ("ua", Llc::UnnumberedType(0x63)),
        ("disc", Llc::UnnumberedType(0x43)),
        ("dm", Llc::UnnumberedType(0x0f)),
        ("sabme", Llc::UnnumberedType(0x6f)),
        ("test", Llc::UnnumberedType(0xe3)),
        ("xid", Llc::UnnumberedType(0xaf)),
        ("frmr", Llc::UnnumberedType(0x87)),
    ];
}

impl Relation {
    /// How it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Greater => ">",
            Relation::GreaterEqual => ">=",
            Relation::Less => "<",
            Relation::LessEqual => "<=",
        }
    }
}

impl Display for Arithmetic {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Arithmetic::Number(number) => write!(f, "{number}"),
            Arithmetic::Length => f.write_str("len"),
            Arithmetic::Load(protocol, index, 1) => write!(f, "{}[{index}]", protocol.word()),
            Arithmetic::Load(protocol, index, size) => write!(f, "{}[{index}:{size}]", protocol.word()),
            Arithmetic::Negative(inner) => write!(f, "-{}", Operand(inner)),
            Arithmetic::Binary(left, operator, right) => {
                write!(f, "{} {} {}", Operand(left), operator.symbol(), Operand(right))
            }
        }
    }
}

/// An operand of arithmetic, in parentheses where it is arithmetic itself.
struct Operand<'a>(&'a Arithmetic);

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Arithmetic::Negative(_) | Arithmetic::Binary(..) => write!(f, "({})", self.0),
            plain => plain.fmt(f),
        }
    }
}

/// What may be in a set, with its qualifiers and the blank behind them.
struct Who(Subject, Direction);

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Subject::Address(family) => write!(f, "{family}{}", self.1),
            Subject::Mac => write!(f, "ether {}", self.1),
            Subject::Port(transport) => write!(f, "{}{}port ", TransportText(transport), self.1),
        }
    }
}

/// With a blank behind it.
impl Display for TuplePart {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            TuplePart::Address(family, end) => write!(f, "{family}{end}"),
            TuplePart::Port(transport, end) => write!(f, "{}{end}port ", TransportText(*transport)),
            TuplePart::Protocol => f.write_str("proto "),
            TuplePart::Mac(end) => write!(f, "ether {end}"),
        }
    }
}

impl Display for End {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            End::Src => "src ",
            End::Dst => "dst ",
        })
    }
}

struct TransportText(Option<Transport>);

impl Display for TransportText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |transport| write!(f, "{} ", transport.protocol().word()))
    }
}

impl Display for Elements {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let elements = match self {
            Elements::Named(name) => return f.write_str(name),
            Elements::Listed(elements) => elements,
        };
        f.write_str("{")?;
        for (index, element) in elements.iter().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            element.fmt(f)?;
        }
        f.write_str("}")
    }
}

struct MacText<'a>(&'a [u8; 6]);

impl Display for MacText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A name, with a backslash before it where it would be taken for something else.
struct NameText<'a>(&'a str);

impl Display for NameText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let tokens = scan::scan(self.0, 0..self.0.len()).unwrap_or_default();
        let plain = tokens.first().is_some_and(|token| token.kind == Kind::Name(self.0.to_string()));
        f.write_str(if plain { "" } else { "\\" })?;
        f.write_str(self.0)
    }
}

struct StringText<'a>(&'a [u8]);

impl Display for StringText<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for byte in self.0 {
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b'\r' => f.write_str("\\r")?,
                b'\t' => f.write_str("\\t")?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                byte => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char('"')
    }
}
