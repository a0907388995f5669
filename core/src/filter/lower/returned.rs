//! What an expression says of ICMP errors: they are judged by the packet that they bring back, seen from its other end.

use crate::cond::{Cond, Returned, Value};
use crate::packet::{EXTENSIONS, protocol};
use crate::plan::given;

use super::super::Filter;
use super::super::ast::{Carrier, Direction, End, Expr, Primitive, Protocol, Subject, TuplePart};
use super::layers::{self, Layers};
use super::{Context, Lowering, fold, simple};

/// Holds for ICMP errors about packets that were sent in answer to those that `filter` holds for, by whoever these were
/// addressed to. None where addresses and ports do not decide, or where the error's own address decides.
pub fn lower_returned(filter: &Filter, context: &Context<'_>) -> Option<Cond> {
    let root = filter.root.as_ref().filter(|root| asks_more(root))?;
    let mut turned = root.clone();
    turn(&mut turned)?;
    let mut parts = Vec::new();
    let mut lowering = Lowering::new(context, Layers { returned: true, ..Layers::ethernet() }, true);
    let returned = lowering.expr(&turned).ok()?;
    lowering.layers.returned = false;
    for link in [layers::IPV4, layers::IPV6] {
        match given(&returned, &lowering.type_field(), link) {
            Cond::Always(false) => {}
            returned => parts.push(simple::all([lowering.is_error(link)?, returned])),
        }
    }
    (!parts.is_empty()).then(|| fold::cond(simple::any(parts), true))
}

/// Whether it asks for more than who is addressed: ICMP errors have no ports, and come from anywhere.
fn asks_more(expr: &Expr) -> bool {
    match expr {
        Expr::Primitive(primitive, _) => match primitive {
            Primitive::V4 { direction, .. } | Primitive::V6(direction, ..) | Primitive::Name(_, direction, _) => {
                *direction != Direction::Dst
            }
            Primitive::In(Subject::Address(_), direction, _) => *direction != Direction::Dst,
            Primitive::Protocol(protocol) => !matches!(protocol, Protocol::Ip | Protocol::Ip6),
            Primitive::Port(..) | Primitive::PortRange(..) | Primitive::In(..) | Primitive::Number(..) => true,
            Primitive::InTuples(parts, _) => {
                !parts.iter().all(|part| matches!(part, TuplePart::Mac(_) | TuplePart::Address(_, End::Dst)))
            }
            _ => false,
        },
        Expr::Not(inner) => asks_more(inner),
        Expr::And(parts) | Expr::Or(parts) => parts.iter().any(asks_more),
    }
}

/// Asks of the source what was asked of the destination, and of the destination what was asked of the source; none
/// where an answer says nothing of what is asked.
fn turn(expr: &mut Expr) -> Option<()> {
    match expr {
        Expr::Not(inner) => turn(inner),
        Expr::And(parts) | Expr::Or(parts) => parts.iter_mut().try_for_each(turn),
        Expr::Primitive(primitive, _) => match primitive {
            Primitive::V4 { direction, .. }
            | Primitive::V6(direction, ..)
            | Primitive::Name(_, direction, _)
            | Primitive::Port(_, direction, _)
            | Primitive::PortRange(_, direction, _)
            | Primitive::In(Subject::Address(_) | Subject::Port(_), direction, _) => {
                *direction = match direction {
                    Direction::Src => Direction::Dst,
                    Direction::Dst => Direction::Src,
                    Direction::Either | Direction::Both => *direction,
                };
                Some(())
            }
            Primitive::InTuples(parts, _) => {
                parts.iter_mut().for_each(|part| *part = part.turned());
                Some(())
            }
            Primitive::Protocol(Protocol::Ip | Protocol::Ip6 | Protocol::Tcp | Protocol::Udp)
            | Primitive::Number(Carrier::Any | Carrier::V4 | Carrier::V6, _)
            // The frame is the error's own.
            | Primitive::Mac(..)
            | Primitive::In(Subject::Mac, ..)
            | Primitive::Vlan(_)
            | Primitive::Inbound
            | Primitive::Outbound
            | Primitive::Ifindex(_) => Some(()),
            _ => None,
        },
    }
}

impl Lowering<'_> {
    /// Whether the packet is an ICMP error, of an IP version. What cannot be one is told by its first header.
    fn is_error(&self, link: u32) -> Option<Cond> {
        let v6 = link == layers::IPV6;
        let first = if v6 { [&[protocol::ICMP6][..], &EXTENSIONS].concat() } else { vec![protocol::ICMP] };
        let is = |number: u8| simple::equal(self.carries(v6), Value::Const(number.into()));
        let version = simple::equal(Value::Returned(Returned::Version), Value::Const(if v6 { 6 } else { 4 }));
        Some(simple::all([self.link_type(link).ok()?, simple::any(first.into_iter().map(is)), version]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::cond::{View, holds};
    use crate::filter::{lower, parse};
    use crate::packet::{self, icmp, layers};

    /// An error to the sender of a packet, which brings back its beginning.
    fn error_about(sent: &[u8], kind: u8) -> Vec<u8> {
        let ip = layers(sent).ip.unwrap();
        let returned = &sent[ip.at..sent.len().min(ip.at + 48)];
        let router = vec![9; ip.src().len()];
        let addresses = [&router[..], &sent[ip.src()]].concat();
        let length = ((returned.len() + 28) as u16).to_be_bytes();
        let header = if ip.v6 {
            [&[0x60, 0, 0, 0, 0, 56, protocol::ICMP6, 64][..], &addresses].concat()
        } else {
            [&[0x45, 0, length[0], length[1], 0, 0, 0, 0, 64, protocol::ICMP, 0, 0][..], &addresses].concat()
        };
        [&sent[..ip.at], &header, &[kind, 0, 0, 0, 0, 0, 0, 0], returned].concat()
    }

    fn context() -> Context<'static> {
        Context { sets: &|_| None, inbound: true, resolve: None }
    }

    fn view(packet: &[u8]) -> View<'_> {
        View { packet, length: packet.len() as u32, ifindex: Some(1), sets: &[] }
    }

    #[test]
    fn an_error_is_judged_as_what_was_answered() {
        let packets = [
            "tcp 10.0.0.1:1000 > 10.9.9.9:80",
            "tcp 10.0.0.1:1000 > 10.9.9.9:81",
            "tcp 10.9.9.9:80 > 10.0.0.1:1000",
            "udp 10.0.0.1:80 > 10.9.9.9:80",
            "tcp 10.0.0.1:1000 > 10.9.9.9:80 vlan 5",
            "tcp [fd00::1]:1000 > [fd09::9]:80",
            "udp [fd00::1]:1000 > [fd09::9]:80",
            "tcp [fd00::1]:1000 > [fd09::9]:80 vlan 5",
        ];
        let filters = [
            "tcp dst port 80",
            "dst host 10.9.9.9 and tcp dst port 80",
            "dst host fd09::9 and tcp",
            "udp and dst portrange 80-90 and src net 10.0.0.0/8",
            "not tcp and (ip or ip6) and dst port in {80, 443}",
            "vlan 5 and dst host 10.9.9.9 and port 80",
            "vlan and dst in {fd00::/8} and tcp dst port 80",
            "src host 10.0.0.1",
        ];
        let mut held = 0;
        for filter in filters {
            let filter = parse(filter, 0..filter.len()).unwrap();
            let (cond, returned) = (lower(&filter, &context()).unwrap(), lower_returned(&filter, &context()).unwrap());
            for words in packets {
                let request = packet::parse(words).unwrap();
                let mut answer = request.clone();
                crate::eval::reflect(&mut answer);
                let kinds = icmp::errors(layers(&request).ip.unwrap().v6);
                let expected = holds(&cond, view(&request));
                held += u32::from(expected);
                for kind in kinds {
                    let error = error_about(&answer, *kind);
                    assert_eq!(holds(&returned, view(&error)), expected, "{filter}: {words}, error {kind}");
                }
                assert!(!holds(&returned, view(&request)), "{filter}: {words} is no error");
                assert!(!holds(&returned, view(&error_about(&answer, 0))), "{filter}: {words}, no kind of error");
            }
        }
        assert_eq!(held, 12);
    }

    #[test]
    fn what_an_answer_does_not_tell_is_not_guessed() {
        for filter in ["", "dst host 10.9.9.9", "tcp syn,!ack", "ip[8] < 5", "tcp port 80 and less 100", "icmp", "arp"]
        {
            assert_eq!(lower_returned(&parse(filter, 0..filter.len()).unwrap(), &context()), None, "{filter}");
        }
    }
}
