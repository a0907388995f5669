//! An expression to a condition: the bytes that libpcap's code generator (`gencode.c`) would have compared.
//!
//! Tests that move what follows (`vlan`, `mpls`, `pppoes`, `geneve`) do so in the order of the text, whatever stands
//! between them: in `vlan or ip`, too, `ip` is looked for behind the tag.

mod address;
mod arithmetic;
mod fold;
mod graph;
mod layers;
mod own;
mod port;
mod protocol;
mod returned;
mod simple;
mod structure;
mod tunnel;
mod tuple;

use std::net::IpAddr;

use crate::cond::{Cond, Operator, Value, Width};
use crate::problem::{Problem, Span};

use super::Filter;
use super::ast::{ByteTest, Expr, Primitive};
use graph::Graph;
use layers::Layers;
use port::port_is;
pub use returned::lower_returned;

/// The addresses of a host's name.
pub type Resolve<'a> = &'a (dyn Fn(&str) -> Vec<IpAddr> + Sync);

/// What an expression does not say by itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The index of a named set in [`crate::rules::Rules::sets`].
    pub sets: &'a dyn Fn(&str) -> Option<usize>,
    /// Whether the packets come in; else they go out.
    pub inbound: bool,
    /// How names of hosts become addresses; names are errors where it is none.
    pub resolve: Option<Resolve<'a>>,
}

/// What `filter` means.
///
/// # Errors
/// Where a test cannot stand where it does, a set or a host's name is not known, or the arithmetic is as libpcap does
/// not take it.
pub fn lower(filter: &Filter, context: &Context<'_>) -> Result<Cond, Problem> {
    let Some(root) = &filter.root else { return Ok(Cond::Always(true)) };
    let optimized = !unoptimized(root);
    let lowering = Lowering::new(context, Layers::ethernet(), optimized);
    let mut plain = lowering.clone();
    let cond = plain.expr(root)?;
    let mut refused = plain.refused;
    let mut found = fold::cond(cond, optimized);
    if optimized && let Some(mut graph) = Graph::new(Lowering { literal: true, ..lowering }.expr(root)?, MOST_TESTS) {
        graph.optimize();
        refused.retain(|(value, _)| graph.compares(value));
        if graph.moved
            && let Some(moved) = structure::condition(&graph, 8 * MOST_TESTS).or_else(|| {
                graph.relax();
                structure::condition(&graph, 8 * MOST_TESTS)
            })
        {
            found = fold::cond(moved, optimized);
        }
    }
    match refused.into_iter().next() {
        Some((_, problem)) => Err(problem),
        None => Ok(simple::constant(found)),
    }
}

/// Expressions with more tests mean what they say, whatever libpcap's optimizer leaves out: its work grows with the
/// square of their number.
const MOST_TESTS: usize = 512;

/// Whether libpcap leaves the whole program as it is because of some test in it.
fn unoptimized(expr: &Expr) -> bool {
    match expr {
        Expr::Primitive(primitive, _) => matches!(primitive, Primitive::Geneve(_) | Primitive::Chain(..)),
        Expr::Not(inner) => unoptimized(inner),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(unoptimized),
    }
}

/// How many numbers libpcap can hold at a time.
const REGISTERS: u32 = 16;

#[derive(Clone)]
struct Lowering<'a> {
    context: &'a Context<'a>,
    layers: Layers,
    /// How many of libpcap's registers are taken: it refuses what needs more than [`REGISTERS`].
    registers: u32,
    /// Whether libpcap would fold constants and drop what does not matter.
    optimized: bool,
    /// Whether the tests are repeated that libpcap's code generator repeats; else there is one of each.
    literal: bool,
    /// Numbers that libpcap's optimizer refuses, if it does not leave out the tests in which they are.
    refused: Vec<(Value, Problem)>,
    /// The primitive at hand.
    span: Span,
}

impl<'a> Lowering<'a> {
    fn new(context: &'a Context<'a>, layers: Layers, optimized: bool) -> Self {
        Lowering { context, layers, registers: 0, optimized, literal: false, refused: Vec::new(), span: 0..0 }
    }
}

impl Lowering<'_> {
    fn expr(&mut self, expr: &Expr) -> Result<Cond, Problem> {
        match expr {
            Expr::Primitive(primitive, place) => {
                self.span = place.0.clone();
                self.primitive(primitive)
            }
            Expr::Not(inner) => Ok(simple::not(self.expr(inner)?)),
            Expr::And(parts) => {
                let parts: Vec<Cond> = parts.iter().map(|part| self.expr(part)).collect::<Result<_, _>>()?;
                Ok(self.all(parts))
            }
            Expr::Or(parts) => {
                let parts: Vec<Cond> = parts.iter().map(|part| self.expr(part)).collect::<Result<_, _>>()?;
                Ok(self.any(parts))
            }
        }
    }

    fn primitive(&mut self, primitive: &Primitive) -> Result<Cond, Problem> {
        match primitive {
            Primitive::Protocol(protocol) => self.protocol(*protocol),
            Primitive::Number(carrier, number) => self.carried(*carrier, *number),
            Primitive::Chain(carrier, number) => self.chain(*carrier, *number),
            Primitive::Mac(direction, address) => self.mac(*direction, address),
            Primitive::V4 { family, direction, address, mask } => {
                self.v4(*family, *direction, address.to_bits(), *mask)
            }
            Primitive::V6(direction, address, length) => self.v6(*direction, *address, *length),
            Primitive::Decnet(direction, address) => self.decnet(*direction, *address),
            Primitive::Name(family, direction, name) => self.name(*family, *direction, name),
            Primitive::Port(transport, direction, port) => {
                self.port(*transport, *direction, |place, offset| port_is(place, offset, *port))
            }
            Primitive::PortRange(transport, direction, range) => {
                self.port(*transport, *direction, |place, offset| self.port_within(place, offset, range))
            }
            Primitive::Broadcast(cast) => self.broadcast(*cast),
            Primitive::Multicast(cast) => self.multicast(*cast),
            Primitive::Less(most) => Ok(simple::greater(Value::Length, Value::Const(*most)).negate()),
            Primitive::Greater(least) => Ok(simple::at_least(Value::Length, Value::Const(*least))),
            Primitive::Byte(index, test, value) => Ok(self.byte(*index, *test, *value)),
            Primitive::Inbound => Ok(Cond::Always(self.context.inbound)),
            Primitive::Outbound => Ok(Cond::Always(!self.context.inbound)),
            Primitive::Ifindex(index) => Ok(simple::equal(Value::Ifindex, Value::Const(*index))),
            Primitive::Vlan(number) => self.vlan(*number),
            Primitive::Mpls(label) => self.mpls(*label),
            Primitive::Pppoed => self.link_type(layers::PPPOE_DISCOVERY),
            Primitive::Pppoes(session) => self.pppoes(*session),
            Primitive::Geneve(network) => self.geneve(*network),
            Primitive::Llc(kind) => self.llc(*kind),
            Primitive::Relation(left, relation, right) => self.relation(left, *relation, right),
            Primitive::In(subject, direction, elements) => self.member(*subject, *direction, elements),
            Primitive::InTuples(parts, elements) => self.tuples(parts, elements),
            Primitive::Payload(bytes) => self.payload(bytes),
            Primitive::Flags(set, clear) => self.flags(*set, *clear),
        }
    }

    /// `byte`: libpcap's code for `&` and `|` loads nothing, so that the operation is made on what happens to be there;
    /// at the beginning of a filter that is zero.
    fn byte(&self, index: u32, test: ByteTest, value: u32) -> Cond {
        let byte = layers::load(&self.layers.header, index, Width::One);
        match test {
            ByteTest::Equal => simple::equal(byte, Value::Const(value)),
            ByteTest::Less => simple::at_least(byte, Value::Const(value)).negate(),
            ByteTest::Greater => simple::greater(byte, Value::Const(value)),
            ByteTest::And => Cond::Always(false),
            ByteTest::Or => Cond::Always(value != 0),
        }
    }

    /// All of them, from the left.
    fn all(&self, parts: impl IntoIterator<Item = Cond>) -> Cond {
        simple::all(parts)
    }

    /// One of them, from the left.
    fn any(&self, parts: impl IntoIterator<Item = Cond>) -> Cond {
        simple::any(parts)
    }

    /// Whether the value under a mask is that number.
    fn masked(&self, value: Value, mask: u32, expected: u32) -> Cond {
        match mask {
            u32::MAX => simple::equal(value, Value::Const(expected)),
            0 if self.optimized => Cond::Always(expected == 0),
            _ => simple::equal(value.with(Operator::And, Value::Const(mask)), Value::Const(expected)),
        }
    }

    fn refuse<T>(&self, what: impl Into<String>, hint: impl Into<String>) -> Result<T, Problem> {
        Err(Problem::new(self.span.clone(), what).hint(hint))
    }
}
