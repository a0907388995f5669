//! ICMP errors about translated packets: the packet that comes back in one is translated as well (RFC 5508, section 4.2).

use super::translate::{Rewrite, one_hop};
use crate::eval::checksum;
use crate::eval::rewrite::overwrite_in_header;
use crate::packet::{self, Ip};

/// What an error becomes.
pub(super) struct Error {
    /// The outer source; none where it stays.
    pub(super) source: Option<Vec<u8>>,
    /// The outer destination.
    pub(super) destination: Vec<u8>,
    /// What the packet becomes that came back.
    pub(super) returned: Rewrite,
}

impl Error {
    /// Rewrites an error whose last byte is before `end`; with one hop less to live where it is `sent`. Type and code stay.
    pub(super) fn apply(&self, bytes: &mut [u8], ip: &Ip, end: usize, sent: bool) {
        let Some(at) = ip.transport else { return };
        let Some((returned, farthest)) = returned(bytes, end) else { return };
        let changed = returned.at..farthest;
        let old = bytes[changed.clone()].to_vec();
        self.returned.apply(bytes, &returned, false);
        let new = bytes[changed].to_vec();
        mend(bytes, at + 2, &old, &new);
        for (field, new) in [(ip.src(), self.source.as_ref()), (ip.dst(), Some(&self.destination))] {
            let Some(new) = new else { continue };
            // ICMPv6's checksum covers the addresses (RFC 4443, section 2.3), ICMP's does not.
            if ip.v6 {
                let old = bytes[field.clone()].to_vec();
                mend(bytes, at + 2, &old, new);
            }
            overwrite_in_header(bytes, ip, field, new);
        }
        if sent {
            one_hop(bytes, ip);
        }
    }
}

fn mend(bytes: &mut [u8], sum: usize, old: &[u8], new: &[u8]) {
    let mended = checksum::mend(u16::from_be_bytes([bytes[sum], bytes[sum + 1]]), old, new);
    bytes[sum..sum + 2].copy_from_slice(&mended.to_be_bytes());
}

/// The packet that came back, which has ports, and where the last of its addresses, ports and checksums ends. It has a
/// checksum only where that came back too.
fn returned(bytes: &[u8], end: usize) -> Option<(Ip, usize)> {
    let returned = packet::returned(bytes)?;
    let transport = returned.transport?;
    let checksum = returned.checksum.filter(|at| at + 2 <= end);
    Some((Ip { checksum, ..returned }, end.min(transport + 18)))
}

#[cfg(test)]
mod tests {
    use super::super::translate::one_hop;
    use crate::error::Error;
    use crate::eval::{Machine, checksum};
    use crate::packet::{self, layers, protocol};
    use crate::policy::{self, Request};
    use crate::rules::Rules;

    /// Bytes of an ICMP header.
    const HEADER: usize = 8;

    fn rules(text: &str) -> Rules {
        let request = Request { policy: None, file: "", inbound: true, resolve: None };
        policy::resolve(&policy::parse(text).unwrap(), &request, &mut |_| Err(Error::usage("no files"))).unwrap()
    }

    /// An error about a packet, which has 20 or 40 bytes of IP header, with its checksums right.
    fn error_about(sent: &[u8], source: &[u8], bytes: usize) -> Vec<u8> {
        let ip = layers(sent).ip.unwrap();
        let returned = &sent[ip.at..sent.len().min(ip.at + bytes)];
        let mut message = [&[if ip.v6 { 1 } else { 3 }, 3, 0, 0, 0, 0, 0, 0], returned].concat();
        let length = (message.len() as u16).to_be_bytes();
        let destination = &sent[ip.src()];
        let pseudo = [source, destination, &length, &[0, protocol::ICMP6]].concat();
        let sum = checksum::of(&[if ip.v6 { &pseudo } else { &[] }, &message]);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut header = if ip.v6 {
            [&[0x60, 0, 0, 0], &length[..], &[protocol::ICMP6, 64]].concat()
        } else {
            let total = ((message.len() + 20) as u16).to_be_bytes();
            [&[0x45, 0], &total[..], &[0, 0, 0, 0, 64, protocol::ICMP, 0, 0]].concat()
        };
        header.extend([source, destination].concat());
        if !ip.v6 {
            let sum = checksum::of(&[&header]);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        [&sent[..ip.at], &header, &message].concat()
    }

    /// Asserts that an error, from one host to another, is about the beginning of `original`, which went one hop, and that
    /// its checksums are right.
    fn assert_about(error: &[u8], [source, destination]: [&[u8]; 2], original: &[u8], bytes: usize) {
        let ip = layers(error).ip.unwrap();
        assert_eq!([&error[ip.src()], &error[ip.dst()]], [source, destination]);
        let mut original = original.to_vec();
        let of = layers(&original).ip.unwrap();
        one_hop(&mut original, &of);
        let at = ip.transport.unwrap();
        assert_eq!(error[at + HEADER..], original[of.at..original.len().min(of.at + bytes)]);
        let pseudo = [source, destination, &((error.len() - at) as u16).to_be_bytes(), &[0, protocol::ICMP6]].concat();
        if ip.v6 {
            assert_eq!(checksum::of(&[&pseudo, &error[at..]]), 0);
        } else {
            assert_eq!([checksum::of(&[&error[at..]]), checksum::of(&[&error[ip.at..at]])], [0, 0]);
        }
    }

    /// `addresses` are the client's, the service's, the backend's and ours; the last is a router's, which is anywhere.
    fn both_ways(method: &str, addresses: [&str; 5], transport: &str, bytes: usize) {
        let [client, service, backend, _, router] = addresses;
        let bracket = |address: &str| if address.contains(':') { format!("[{address}]") } else { address.into() };
        let text = format!("pool p via {method} {{\n {}:8080\n}}\ndefault route p", bracket(backend));
        let rules = rules(&text);
        let mut machine = Machine::new(&rules);
        let octets = |address: &str| {
            let words = format!("ip proto 50 {address} > {address}");
            let packet = packet::parse(&words).unwrap();
            packet[layers(&packet).ip.unwrap().src()].to_vec()
        };
        let [client_at, service_at, backend_at, router_at] = [client, service, backend, router].map(octets);
        let packet = format!("{transport} {}:4000 > {}:80 payload \"abcde\"", bracket(client), bracket(service));
        let request = packet::parse(&packet).unwrap();
        let mut sent = request.clone();
        machine.run(&mut sent, 1, None);
        for (from, expected) in [(&router_at, &router_at), (&backend_at, &service_at)] {
            let mut error = error_about(&sent, from, bytes);
            machine.run(&mut error, 1, None);
            assert_about(&error, [expected, &client_at], &request, bytes);
        }
        let mut answer = sent.clone();
        crate::eval::reflect(&mut answer);
        let mut undone = answer.clone();
        machine.run(&mut undone, 1, None);
        for from in [&router_at, &client_at] {
            let mut error = error_about(&undone, from, bytes);
            machine.run(&mut error, 1, None);
            assert_about(&error, [from, &backend_at], &answer, bytes);
        }
        let mut astray = error_about(&undone, &router_at, bytes);
        let at = layers(&astray).ip.unwrap().dst().start;
        astray[at] ^= 1;
        let before = astray.clone();
        machine.run(&mut astray, 1, None);
        assert_eq!(astray, before, "it goes to another host");
    }

    #[test]
    fn errors_are_about_what_their_receiver_sent() {
        let v4 = ["198.51.100.7", "203.0.113.80", "10.0.0.1", "172.16.0.1", "192.0.2.200"];
        let v6 = ["2001:db8::7", "2001:db8::80", "fd00::1", "fd00::ffff", "2001:db8::200"];
        for (addresses, header) in [(v4, 20), (v6, 40)] {
            for method in ["nat".to_owned(), format!("fullnat from {}", addresses[3])] {
                for transport in ["tcp", "udp"] {
                    for quoted in [8, 16, 18, 100] {
                        both_ways(&method, addresses, transport, header + quoted);
                    }
                }
            }
        }
    }
}
