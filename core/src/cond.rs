//! What a filter expression means: a condition over the bytes of one packet.
//!
//! This is the form in which the evaluator, the planner and the code generator know a condition. It has no protocol
//! names, only loads and comparisons, in the order in which they are made.
//!
//! **Faults.** A load beyond the end of the packet, and a division by zero, end the whole condition: it does not hold,
//! whatever stands around it, also under a `not`. That is the meaning that classic BPF gives to a filter
//! (McCanne and Jacobson, *The BSD Packet Filter*, 1993; `pcapint_filter` of libpcap), and why order matters: what is not evaluated
//! cannot fault. `And` and `Or` evaluate their left side first, and the right side only if it decides.

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Cond {
    /// Holds always, or never.
    Always(bool),
    /// Compares two unsigned 32-bit numbers.
    Compare(Value, Relation, Value),
    /// Whether a part of the packet is an element of set [`Member::set`].
    In(Member),
    /// Whether the chain of headers that begins at a network header reaches this protocol.
    Chain(Chain),
    /// Holds where the other does not.
    Not(Box<Cond>),
    /// Both hold; the right side is evaluated only where the left one holds.
    And(Box<Cond>, Box<Cond>),
    /// One holds; the right side is evaluated only where the left one does not hold.
    Or(Box<Cond>, Box<Cond>),
}

/// How two numbers are compared, unsigned. The other three relations are these under [`Cond::Not`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Equal.
    Equal,
    /// The left one is greater.
    Greater,
    /// The left one is greater or equal.
    GreaterEqual,
}

/// An unsigned 32-bit number; arithmetic wraps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// The number itself.
    Const(u32),
    /// The length of the packet in bytes, from the Ethernet header on.
    Length,
    /// The index of the interface on which the packet arrived; a fault where it is not known.
    Ifindex,
    /// Bytes of the packet.
    Load(Load),
    /// Of the packet that an ICMP error brings back ([`crate::packet::returned`]); a fault where the packet is none.
    Returned(Returned),
    /// Arithmetic on two numbers.
    Arithmetic(Box<Value>, Operator, Box<Value>),
    /// Two's complement.
    Negative(Box<Value>),
}

/// Arithmetic of [`Value`], unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Operator {
    Add,
    Subtract,
    Multiply,
    /// By zero: a fault.
    Divide,
    /// By zero: a fault.
    Modulo,
    And,
    Or,
    Xor,
    /// By 32 or more: zero.
    ShiftLeft,
    /// By 32 or more: zero.
    ShiftRight,
}

/// Bytes of the packet as a number in network byte order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Load {
    /// Where they are.
    pub at: Place,
    /// How many they are.
    pub width: Width,
}

/// What is known of a packet that an ICMP error brings back. Offsets are from the first byte of the Ethernet header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Returned {
    /// The IP version, 4 or 6, which is that of the error too.
    Version,
    /// Where its IP header is.
    Header,
    /// Where the byte is that names its protocol.
    Protocol,
    /// Where its transport header is.
    Transport,
}

impl Returned {
    /// No error is shorter: Ethernet, IPv4, ICMP and what comes back of IPv4.
    pub const SHORTEST: u32 = 14 + 20 + 8 + 20;

    /// No number is greater.
    pub(crate) fn most(self) -> u32 {
        if self == Returned::Version { 6 } else { 0x7ff }
    }
}

/// How many bytes a load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "their names say it")]
pub enum Width {
    One = 1,
    Two = 2,
    Four = 4,
}

/// An offset from the first byte of the Ethernet header. The sum does not wrap: a place beyond 2^32 is beyond any packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The part that depends on the packet.
    pub base: Option<Box<Value>>,
    /// The constant part, in bytes.
    pub offset: u32,
}

/// A test for membership in a set. Too few bytes for the key are a fault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Index of the set in [`crate::rules::Rules::sets`].
    pub set: usize,
    /// Which elements of the set are meant.
    pub part: Part,
    /// Where the key begins, or the first value of a tuple.
    pub at: Place,
    /// Where the other values of a tuple are.
    pub more: Vec<Place>,
}

/// The kinds of elements that a set may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// IPv4 prefixes; the key is an address.
    V4,
    /// IPv6 prefixes; the key is an address.
    V6,
    /// Ranges of ports; the key is a port.
    Port,
    /// Ethernet addresses.
    Mac,
    /// Tuples of these values.
    Tuple(Layout),
}

/// What the values of a tuple are, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout([Option<Column>; Layout::MOST]);

/// What a value of a tuple is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// A port.
    Port,
    /// An IP protocol.
    Protocol,
    /// An Ethernet address.
    Mac,
}

/// The header chain of `ip protochain` and `ip6 protochain`.
///
/// It begins with the protocol field of the header at [`Chain::at`], and goes on as long as that protocol is not
/// [`Chain::protocol`] and the header that follows is one of these (first byte: its next protocol; second byte: `n`):
/// in IPv6, 0, 43, 44 and 60, which take `8 * (n + 1)` bytes; 51 in both, behind which the next header begins at
/// `4 * (n + 2)` bytes from [`Chain::at`], as libpcap's code has it, wherever this one is. (So headers may be walked in
/// a circle, where libpcap's filter never ends.) 59 ends the chain. A byte beyond the packet is a fault.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Chain {
    /// IPv6 (next headers) or IPv4 (only authentication headers are walked).
    pub v6: bool,
    /// Where the IP header begins.
    pub at: Place,
    /// The protocol that is looked for.
    pub protocol: u8,
}

impl Chain {
    /// After so many headers the chain has ended, and the protocol is not in it.
    pub const HEADERS: u32 = 256;
}

impl Part {
    /// Lengths in bytes of the key, or of each value of a tuple; zero where there are no more.
    pub fn sizes(self) -> [u32; Layout::MOST] {
        let one = |size| [size, 0, 0, 0, 0];
        match self {
            Part::V4 => one(4),
            Part::V6 => one(16),
            Part::Port => one(2),
            Part::Mac => one(6),
            Part::Tuple(layout) => layout.0.map(|column| column.map_or(0, Column::size)),
        }
    }
}

impl Member {
    /// A test of what stands at one place.
    pub fn of(set: usize, part: Part, at: Place) -> Self {
        Member { set, part, at, more: Vec::new() }
    }

    /// Where the key is, or the values of a tuple, and how many bytes each has.
    pub fn keys(&self) -> impl Iterator<Item = (&Place, u32)> {
        std::iter::once(&self.at).chain(&self.more).zip(self.part.sizes())
    }
}

impl Layout {
    /// So many values has a tuple at most.
    pub const MOST: usize = 5;

    /// Tuples of two or more such values; none where they are fewer, or too many.
    pub fn new(columns: &[Column]) -> Option<Self> {
        (2..=Layout::MOST).contains(&columns.len()).then(|| Self::of(columns.iter().copied()))
    }

    /// Tuples of these values, as far as they are not too many.
    pub(crate) fn of(columns: impl Iterator<Item = Column>) -> Self {
        let mut layout = Layout([None; Layout::MOST]);
        layout.0.iter_mut().zip(columns).for_each(|(to, column)| *to = Some(column));
        layout
    }

    /// What the values are.
    pub fn columns(self) -> impl Iterator<Item = Column> {
        self.0.into_iter().flatten()
    }

    /// A letter for each value, by which [`Layout::of_code`] knows it again.
    pub fn code(self) -> String {
        let letter = |column| Column::CODES.iter().find(|(known, _)| *known == column).map(|(_, letter)| *letter);
        self.columns().filter_map(letter).collect()
    }

    /// What [`Layout::code`] stands for.
    pub fn of_code(code: &str) -> Option<Self> {
        let column = |letter| Column::CODES.iter().find(|(_, known)| *known == letter).map(|(column, _)| *column);
        Self::new(&code.chars().map(column).collect::<Option<Vec<_>>>()?)
    }

    /// Length of the key in the kernel's map, in bytes: the values in order, each with an even number of bytes, and zeros up
    /// to a multiple of 4.
    pub fn key_size(self) -> u32 {
        self.columns().map(Column::room).sum::<u32>().next_multiple_of(4)
    }
}

impl Column {
    const CODES: [(Column, char); 5] =
        [(Column::V4, '4'), (Column::V6, '6'), (Column::Port, 'p'), (Column::Protocol, 't'), (Column::Mac, 'm')];

    /// How many bytes of a packet it is.
    pub fn size(self) -> u32 {
        match self {
            Column::V4 => 4,
            Column::V6 => 16,
            Column::Port => 2,
            Column::Protocol => 1,
            Column::Mac => 6,
        }
    }

    /// How many bytes of a key in the kernel's map; those that it does not need are zero.
    pub fn room(self) -> u32 {
        self.size().next_multiple_of(2)
    }
}

impl Place {
    /// A place at a fixed offset.
    pub fn fixed(offset: u32) -> Self {
        Place { base: None, offset }
    }
}

impl Cond {
    /// Compares the bytes at a fixed offset with a constant.
    pub fn equals(offset: u32, width: Width, value: u32) -> Self {
        Cond::Compare(Value::load(offset, width), Relation::Equal, Value::Const(value))
    }

    /// Holds where this does not.
    #[must_use]
    pub fn negate(self) -> Self {
        Cond::Not(Box::new(self))
    }

    /// Both hold; `other` is evaluated second.
    #[must_use]
    pub fn and(self, other: Cond) -> Self {
        Cond::And(Box::new(self), Box::new(other))
    }

    /// One holds; `other` is evaluated second.
    #[must_use]
    pub fn or(self, other: Cond) -> Self {
        Cond::Or(Box::new(self), Box::new(other))
    }
}

impl Operator {
    /// How it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Modulo => "%",
            Operator::And => "&",
            Operator::Or => "|",
            Operator::Xor => "^",
            Operator::ShiftLeft => "<<",
            Operator::ShiftRight => ">>",
        }
    }

    /// The result; none for a division by zero.
    pub fn compute(self, left: u32, right: u32) -> Option<u32> {
        Some(match self {
            Operator::Add => left.wrapping_add(right),
            Operator::Subtract => left.wrapping_sub(right),
            Operator::Multiply => left.wrapping_mul(right),
            Operator::Divide => left.checked_div(right)?,
            Operator::Modulo => left.checked_rem(right)?,
            Operator::And => left & right,
            Operator::Or => left | right,
            Operator::Xor => left ^ right,
            Operator::ShiftLeft => left.checked_shl(right).unwrap_or(0),
            Operator::ShiftRight => left.checked_shr(right).unwrap_or(0),
        })
    }
}

impl Value {
    /// The bytes at a fixed offset.
    pub fn load(offset: u32, width: Width) -> Self {
        Value::Load(Load { at: Place::fixed(offset), width })
    }

    /// The greatest number that it can be, as far as that is easily seen (the verifier sees the same).
    pub fn most(&self) -> u32 {
        match self {
            Value::Const(constant) => *constant,
            Value::Load(Load { width: Width::One, .. }) => 0xff,
            Value::Load(Load { width: Width::Two, .. }) => 0xffff,
            Value::Returned(part) => part.most(),
            Value::Arithmetic(left, operator, right) => {
                let (left, most) = (left.most(), right.most());
                match (operator, &**right) {
                    (Operator::And, _) => left.min(most),
                    (Operator::ShiftRight, Value::Const(by)) => left.checked_shr(*by).unwrap_or(0),
                    (Operator::ShiftLeft, Value::Const(by)) => {
                        u32::try_from(u64::from(left) << by.min(&32)).unwrap_or(u32::MAX)
                    }
                    (Operator::Multiply, _) => left.saturating_mul(most),
                    (Operator::Add, _) => left.saturating_add(most),
                    _ => u32::MAX,
                }
            }
            Value::Length | Value::Ifindex | Value::Load(_) | Value::Negative(_) => u32::MAX,
        }
    }

    /// Arithmetic on this and another.
    #[must_use]
    pub fn with(self, operator: Operator, other: Value) -> Self {
        Value::Arithmetic(Box::new(self), operator, Box::new(other))
    }
}
