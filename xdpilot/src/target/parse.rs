//! Words to [`Target`].

use std::str::FromStr;

use xdpilot_core::error::{Error, Result};

use super::{IfName, Target};
use crate::engine::{Engine, is_name};

/// What may stand as a target.
const FORMS: &str = "IFACE, docker:NAME[/IFACE], podman:NAME[/IFACE], netns:NAME/IFACE, pid:N[/IFACE] or all";
/// PID_MAX_LIMIT on 64-bit machines, `include/linux/threads.h`.
const PID_MAX: u32 = 4 << 20;
/// NAME_MAX, `include/uapi/linux/limits.h`: a namespace's name is a file's.
const NETNS_NAME_MAX: usize = 255;

impl FromStr for Target {
    type Err = Error;

    fn from_str(words: &str) -> Result<Self> {
        let whole = |error: Error| error.context(format!("target '{}'", words.escape_debug()));
        parse(words).map_err(whole)
    }
}

fn parse(words: &str) -> Result<Target> {
    if words == "all" {
        return Ok(Target::All);
    }
    let Some((kind, rest)) = words.split_once(':') else {
        return match words.split_once('/') {
            Some((name, interface)) if !name.is_empty() => Err(expected(format!("netns:{name}/{interface}"))),
            _ => words.parse().map(Target::Interface),
        };
    };
    let (name, interface) = match rest.split_once('/') {
        Some((name, interface)) => (name, Some(interface.parse::<IfName>()?)),
        None => (rest, None),
    };
    match kind {
        "docker" => container(Engine::Docker, name, interface),
        "podman" => container(Engine::Podman, name, interface),
        "netns" => netns(name, interface),
        "pid" => Ok(Target::Pid { pid: pid(name)?, interface }),
        _ => Err(unknown(kind, rest)),
    }
}

fn container(engine: Engine, name: &str, interface: Option<IfName>) -> Result<Target> {
    if is_name(name) {
        return Ok(Target::Container { engine, name: name.to_owned(), interface });
    }
    Err(Error::usage(format!("container name '{}'", name.escape_debug()))
        .cause(format!("{engine}:NAME[/IFACE] was expected, NAME of letters, digits, '_', '.' and '-'"))
        .mend(format!("{engine} ps")))
}

fn netns(name: &str, interface: Option<IfName>) -> Result<Target> {
    let valid = !matches!(name, "" | "." | "..") && name.len() <= NETNS_NAME_MAX && !name.contains('\0');
    if !valid {
        return Err(Error::usage(format!("namespace name '{}'", name.escape_debug()))
            .cause("netns:NAME/IFACE was expected, NAME as `ip netns` lists it")
            .mend("ip netns"));
    }
    match interface {
        Some(interface) => Ok(Target::Netns { name: name.to_owned(), interface }),
        None => Err(Error::usage("no interface")
            .cause("netns:NAME/IFACE was expected")
            .mend(format!("ip -netns {name} -brief link"))),
    }
}

fn pid(digits: &str) -> Result<u32> {
    // u32's own parser takes a leading '+'.
    let number = if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None };
    number.filter(|pid| (1..=PID_MAX).contains(pid)).ok_or_else(|| {
        Error::usage(format!("process id '{}'", digits.escape_debug()))
            .cause(format!("pid:N[/IFACE] was expected, N from 1 to {PID_MAX}"))
    })
}

fn unknown(kind: &str, rest: &str) -> Error {
    match xdpilot_core::near::near(kind, ["docker", "podman", "netns", "pid"]).first() {
        Some(known) => expected(format!("{known}:{rest}")),
        None => Error::usage(format!("'{}:' is no kind of target", kind.escape_debug())).cause(expectation()),
    }
}

fn expected(meant: String) -> Error {
    Error::usage("this is no target").cause(expectation()).mend(format!("perhaps {} was meant", meant.escape_debug()))
}

fn expectation() -> String {
    format!("{FORMS} was expected")
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
