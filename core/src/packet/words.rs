//! Packets from words: `tcp 10.0.0.1:1 > 10.0.0.2:80 syn`.

use std::net::{IpAddr, SocketAddr};

use super::build::{Body, Parts, build};
use super::lex::{Token, Tokens};
use super::{icmp, protocol};
use crate::near::near;
use crate::problem::{Problem, Span};

/// No IP packet is longer, nor is a test's.
const LONGEST: usize = 65_535;
const KINDS: [&str; 10] = ["tcp", "udp", "sctp", "icmp", "icmp6", "arp", "ip", "ip6", "ether", "hex"];
const OPTIONS: [&str; 10] = ["payload", "vlan", "ether", "ttl", "dscp", "frag", "options", "ext", "len", "cut"];
/// TCP flags, lowest bit first.
pub(super) const FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/// Reads a packet in words, and makes it: an Ethernet frame with all lengths and checksums right.
///
/// Spans in the problem are offsets into `words`. The words are specified in `docs/language.md`.
pub fn parse(words: &str) -> Result<Vec<u8>, Problem> {
    let mut tokens = Tokens::new(words)?;
    let body = body(&mut tokens)?;
    let mut parts = Parts::new(body);
    let (mut length, mut cut) = (None, None);
    while let Some((word, span)) = tokens.next_word() {
        match word {
            "len" => length = Some((number(&mut tokens, "a length", 0, LONGEST)?, span)),
            "cut" => cut = Some((number(&mut tokens, "a length", 0, LONGEST)?, span)),
            _ => option(word, &span, &mut parts, &mut tokens)?,
        }
    }
    let frame = build(&parts);
    let frame = match length {
        Some((length, span)) if length < frame.len() => return Err(too_short(frame.len(), span)),
        Some((length, _)) => {
            parts.payload.resize(parts.payload.len() + length - frame.len(), 0);
            build(&parts)
        }
        None => frame,
    };
    if frame.len() > LONGEST {
        return Err(Problem::new(0..words.len(), format!("a packet of {} bytes is too long", frame.len())));
    }
    match cut {
        Some((cut, span)) if cut > frame.len() => Err(too_short(frame.len(), span)),
        Some((cut, _)) => Ok(frame.get(..cut).unwrap_or_default().to_vec()),
        None => Ok(frame),
    }
}

/// The words with one space between them.
pub fn spaced(words: &str) -> String {
    match Tokens::new(words) {
        Ok(tokens) => tokens.spaced(),
        Err(_) => words.to_string(),
    }
}

fn too_short(length: usize, span: Span) -> Problem {
    Problem::new(span, format!("the packet has {length} bytes")).hint("len makes it longer, cut makes it shorter")
}

fn unexpected(token: Option<Token<'_>>, tokens: &Tokens<'_>, expected: &str) -> Problem {
    let problem = match token {
        Some(token) => Problem::new(token.span.clone(), format!("unexpected {}", token.shown())),
        None => Problem::new(tokens.end(), "the packet ends here"),
    };
    problem.hint(format!("expected {expected}"))
}

fn number(tokens: &mut Tokens<'_>, what: &str, least: usize, most: usize) -> Result<usize, Problem> {
    let token = tokens.next();
    let number = token.as_ref().and_then(|token| token.number());
    match number.filter(|number| (least..=most).contains(number)) {
        Some(number) => Ok(number),
        None => Err(unexpected(token, tokens, &format!("{what} from {least} to {most}"))),
    }
}

/// A number that fits in a byte or two.
fn small<T: TryFrom<usize>>(tokens: &mut Tokens<'_>, what: &str, most: T) -> Result<T, Problem>
where
    usize: TryFrom<T>,
{
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let at = tokens.end();
    T::try_from(number(tokens, what, 0, most)?).map_err(|_| Problem::new(at, format!("{what} is too large")))
}

fn mac(tokens: &mut Tokens<'_>) -> Result<[u8; 6], Problem> {
    let token = tokens.next();
    match token.as_ref().and_then(|token| crate::policy::mac(token.text)) {
        Some(mac) => Ok(mac),
        None => Err(unexpected(token, tokens, "an Ethernet address: 02:00:00:00:00:01")),
    }
}

fn address<T: std::str::FromStr>(tokens: &mut Tokens<'_>, expected: &str) -> Result<(T, Span), Problem> {
    let token = tokens.next();
    match token.as_ref().map(|token| (token.text.parse(), token.span.clone())) {
        Some((Ok(address), span)) => Ok((address, span)),
        _ => Err(unexpected(token, tokens, expected)),
    }
}

/// `FROM > TO`, of one family.
fn pair<T: std::str::FromStr>(
    tokens: &mut Tokens<'_>,
    expected: &str,
    is_v6: impl Fn(&T) -> bool,
) -> Result<(T, T), Problem> {
    let (src, _) = address::<T>(tokens, expected)?;
    let sign = tokens.next();
    if sign.as_ref().is_none_or(|token| token.text != ">") {
        return Err(unexpected(sign, tokens, "> and the destination"));
    }
    let (dst, span) = address::<T>(tokens, expected)?;
    if is_v6(&src) != is_v6(&dst) {
        return Err(Problem::new(span, "source and destination are of different families"));
    }
    Ok((src, dst))
}

fn body(tokens: &mut Tokens<'_>) -> Result<Body, Problem> {
    let token = tokens.next();
    match token.as_ref().map(|token| token.text).unwrap_or_default() {
        "tcp" => ported(tokens, protocol::TCP),
        "udp" => ported(tokens, protocol::UDP),
        "sctp" => ported(tokens, protocol::SCTP),
        "icmp" => icmp(tokens, false),
        "icmp6" => icmp(tokens, true),
        "arp" => arp(tokens),
        "ip" | "ip6" => ip(tokens),
        "ether" => {
            let token = tokens.next();
            if token.as_ref().is_none_or(|token| token.text != "type") {
                return Err(unexpected(token, tokens, "type and an EtherType: ether type 0x88cc"));
            }
            Ok(Body::Ether { ethertype: small(tokens, "an EtherType", u16::MAX)? })
        }
        "hex" => raw(tokens),
        word => {
            let hint = match near(word.get(..16).unwrap_or(word), KINDS).first() {
                Some(kind) => format!("did you mean {kind}?"),
                None => format!("a packet begins with {}", KINDS.join(", ")),
            };
            Err(unexpected(token, tokens, "a packet").hint(hint))
        }
    }
}

fn ported(tokens: &mut Tokens<'_>, protocol: u8) -> Result<Body, Problem> {
    let (src, dst) = pair::<SocketAddr>(tokens, "ADDRESS:PORT, [ADDRESS]:PORT for IPv6", SocketAddr::is_ipv6)?;
    let mut flags = 0x10; // established
    let next = tokens.peek();
    if let Some(token) = next.filter(|token| protocol == protocol::TCP && !OPTIONS.contains(&token.text)) {
        flags = tcp_flags(token.text).ok_or_else(|| unexpected(Some(token), tokens, "TCP flags: syn,ack, or none"))?;
        tokens.next();
    }
    Ok(Body::Transport { protocol, src: src.ip(), dst: dst.ip(), ports: (src.port(), dst.port()), flags })
}

fn tcp_flags(words: &str) -> Option<u8> {
    if words == "none" {
        return Some(0);
    }
    words.split(',').try_fold(0, |flags, word| {
        let word = if word == "push" { "psh" } else { word };
        Some(flags | 1 << FLAGS.iter().position(|flag| *flag == word)?)
    })
}

fn icmp(tokens: &mut Tokens<'_>, v6: bool) -> Result<Body, Problem> {
    let expected = if v6 { "an IPv6 address" } else { "an IPv4 address" };
    let at = tokens.end();
    let (src, dst) = pair::<IpAddr>(tokens, expected, IpAddr::is_ipv6)?;
    if src.is_ipv6() != v6 {
        return Err(Problem::new(at, format!("this is not {expected}")).hint("icmp is of IPv4, icmp6 of IPv6"));
    }
    let (mut kind, mut code) = (icmp::echo_request(v6), 0);
    if let Some(token) = tokens.peek().filter(|token| !OPTIONS.contains(&token.text)) {
        tokens.next();
        match (token.text, icmp::number(token.text, v6)) {
            ("type", _) => kind = small(tokens, "a type", u8::MAX)?,
            (_, Some(number)) => kind = number,
            _ => return Err(unexpected(Some(token), tokens, &format!("type NUMBER, or {}", icmp::names(v6)))),
        }
    }
    if tokens.peek().is_some_and(|token| token.text == "code") {
        tokens.next();
        code = small(tokens, "a code", u8::MAX)?;
    }
    Ok(Body::Icmp { src, dst, kind, code })
}

fn arp(tokens: &mut Tokens<'_>) -> Result<Body, Problem> {
    let token = tokens.next();
    let ipv4 = "an IPv4 address";
    match token.as_ref().map(|token| token.text) {
        Some("who-has") => {
            let (target, _) = address(tokens, ipv4)?;
            let tell = tokens.next();
            if tell.as_ref().is_none_or(|token| token.text != "tell") {
                return Err(unexpected(tell, tokens, "tell and the address that asks"));
            }
            Ok(Body::Arp { sender: address(tokens, ipv4)?.0, target, answer: None })
        }
        Some("reply") => {
            let (sender, _) = address(tokens, ipv4)?;
            let is_at = tokens.next();
            if is_at.as_ref().is_none_or(|token| token.text != "is-at") {
                return Err(unexpected(is_at, tokens, "is-at and an Ethernet address"));
            }
            Ok(Body::Arp { sender, target: sender, answer: Some(mac(tokens)?) })
        }
        _ => Err(unexpected(token, tokens, "who-has ADDRESS tell ADDRESS, or reply ADDRESS is-at MAC")),
    }
}

fn ip(tokens: &mut Tokens<'_>) -> Result<Body, Problem> {
    let proto = tokens.next();
    if proto.as_ref().is_none_or(|token| token.text != "proto") {
        return Err(unexpected(proto, tokens, "proto and a protocol's number"));
    }
    let token = tokens.next();
    let protocol = token.as_ref().and_then(|token| token.number()).and_then(|number| u8::try_from(number).ok());
    let named = token
        .as_ref()
        .and_then(|token| crate::filter::names::protocol(token.text))
        .and_then(|number| u8::try_from(number).ok());
    let Some(protocol) = protocol.or(named) else {
        return Err(unexpected(token, tokens, "a protocol: a number from 0 to 255, or a name"));
    };
    let (src, dst) = pair::<IpAddr>(tokens, "an IP address", IpAddr::is_ipv6)?;
    Ok(Body::Ip { protocol, src, dst })
}

fn raw(tokens: &mut Tokens<'_>) -> Result<Body, Problem> {
    let token = tokens.next();
    let Some(token) = token.filter(|token| token.text.starts_with('"')) else {
        return Err(unexpected(tokens.peek(), tokens, "the bytes of a frame between quotes"));
    };
    let text = token.text.trim_matches('"');
    let digits: Vec<u32> = text.chars().filter(|c| !matches!(c, ' ' | ':')).map_while(|c| c.to_digit(16)).collect();
    let all = text.chars().filter(|c| !matches!(c, ' ' | ':')).count();
    if digits.len() != all || !all.is_multiple_of(2) {
        return Err(Problem::new(token.span, "these are not bytes").hint("expected pairs of hexadecimal digits"));
    }
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | u8::try_from(*digit).unwrap_or_default());
    Ok(Body::Raw(digits.chunks(2).map(byte).collect()))
}

fn option(word: &str, span: &Span, parts: &mut Parts, tokens: &mut Tokens<'_>) -> Result<(), Problem> {
    let (is_raw, is_ip) = (matches!(parts.body, Body::Raw(_)), parts.body.is_ip());
    let needs_ip = matches!(word, "ttl" | "dscp" | "frag" | "options" | "ext");
    if OPTIONS.contains(&word) && (is_raw || needs_ip && !is_ip) {
        let hint = if is_raw { "it is the bytes behind hex" } else { "only IP packets have it" };
        return Err(Problem::new(span.clone(), format!("this packet takes no {word}")).hint(hint));
    }
    match word {
        "payload" => parts.payload = tokens.bytes()?,
        "vlan" => parts.vlans.push(small(tokens, "the number of a VLAN", 4095)?),
        "ether" => return ether(parts, tokens),
        "ttl" => parts.ttl = Some(small(tokens, "a time to live", u8::MAX)?),
        "dscp" => parts.dscp = small(tokens, "a DSCP", 63)?,
        "frag" => parts.fragment = Some(fragment(tokens)?),
        "options" if parts.body.is_v6() => {
            return Err(Problem::new(span.clone(), "IPv6 has no options of this kind").hint("ext 0 adds such a header"));
        }
        "options" => {
            let at = tokens.end();
            parts.options = number(tokens, "a number of bytes", 0, 40)?;
            if !parts.options.is_multiple_of(4) {
                return Err(Problem::new(at, "options come in fours of bytes"));
            }
        }
        "ext" if !parts.body.is_v6() => {
            return Err(Problem::new(span.clone(), "IPv4 has no extension headers").hint("options 8 adds options"));
        }
        "ext" => parts.extensions = extensions(tokens)?,
        _ => {
            let hint = match near(word.get(..16).unwrap_or(word), OPTIONS).first() {
                Some(option) => format!("did you mean {option}?"),
                None => format!("expected {}", OPTIONS.join(", ")),
            };
            return Err(Problem::new(span.clone(), format!("unexpected {}", super::lex::short(word))).hint(hint));
        }
    }
    Ok(())
}

/// `ether src MAC dst MAC`, one or both.
fn ether(parts: &mut Parts, tokens: &mut Tokens<'_>) -> Result<(), Problem> {
    let mut any = false;
    loop {
        match tokens.peek().map(|token| token.text) {
            Some("src") => {
                tokens.next();
                parts.ether_src = Some(mac(tokens)?);
            }
            Some("dst") => {
                tokens.next();
                parts.ether_dst = Some(mac(tokens)?);
            }
            _ if any => return Ok(()),
            _ => return Err(unexpected(tokens.peek(), tokens, "src MAC or dst MAC")),
        }
        any = true;
    }
}

/// `frag 100+`: the offset in units of eight bytes, and whether more fragments follow.
fn fragment(tokens: &mut Tokens<'_>) -> Result<(u16, bool), Problem> {
    let token = tokens.next();
    let text = token.as_ref().map(|token| token.text).unwrap_or_default();
    let (digits, more) = text.strip_suffix('+').map_or((text, false), |digits| (digits, true));
    match digits.parse().ok().filter(|offset| *offset < 0x2000) {
        Some(offset) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok((offset, more)),
        _ => Err(unexpected(token, tokens, "an offset from 0 to 8191 in units of eight bytes, + where more follow")),
    }
}

/// `ext 0,60`: extension headers of eight bytes each.
fn extensions(tokens: &mut Tokens<'_>) -> Result<Vec<u8>, Problem> {
    let token = tokens.next();
    let text = token.as_ref().map(|token| token.text).unwrap_or_default();
    let known = |word: &str| word.parse().ok().filter(|number| super::layers::is_extension(*number));
    match text.split(',').map(known).collect::<Option<Vec<u8>>>().filter(|all| all.len() <= 32) {
        Some(extensions) => Ok(extensions),
        None => Err(unexpected(token, tokens, "extension headers: 0, 43, 44, 51 or 60, with commas between")),
    }
}
