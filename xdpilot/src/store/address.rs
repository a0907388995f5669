//! Where a store is: `redb:PATH`, `etcd://HOST:PORT[,HOST:PORT…][/PREFIX]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use xdpilot_core::error::{Error, Result};

/// The prefix of all keys in etcd where none is said.
const PREFIX: &str = "xdpilot";
/// etcd's port for clients.
const PORT: u16 = 2379;

/// Where a store is. Prints as the words it is parsed from, with what was left out; passwords are never in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A file of redb.
    Embedded(PathBuf),
    /// A cluster of etcd.
    Etcd(Etcd),
}

/// A cluster of etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// Whether its members speak TLS: `etcds://`.
    pub tls: bool,
    /// Its members, each `HOST:PORT`.
    pub members: Vec<String>,
    /// What all keys begin with, without slashes at its ends.
    pub prefix: String,
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(words: &str) -> Result<Self> {
        if let Some(path) = words.strip_prefix("redb:").filter(|path| !path.is_empty()) {
            return Ok(Address::Embedded(PathBuf::from(path)));
        }
        let found = [("etcd://", false), ("etcds://", true)];
        let found = found.into_iter().find_map(|(scheme, tls)| Some((words.strip_prefix(scheme)?, tls)));
        let Some((rest, tls)) = found else {
            return Err(Error::usage(format!("the store {words:?}"))
                .cause("a store is redb:PATH or etcd://HOST:PORT[,HOST:PORT…][/PREFIX]; etcds:// speaks TLS"));
        };
        let (hosts, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let members = hosts.split(',').map(|host| member(words, host)).collect::<Result<_>>()?;
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { PREFIX } else { prefix }.to_string();
        Ok(Address::Etcd(Etcd { tls, members, prefix }))
    }
}

/// `HOST[:PORT]`, where HOST may be an IPv6 address in brackets.
fn member(words: &str, host: &str) -> Result<String> {
    let wrong = |cause: &str| Error::usage(format!("the store {words:?}")).cause(format!("{cause} in {host:?}"));
    if host.contains('@') {
        return Err(wrong("names and passwords do not belong").mend("set XDPILOT_STORE_USER to NAME:PASSWORD"));
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => {
            (name, port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("there is no port"))?)
        }
        _ => (host, PORT),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let valid = match bare {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)),
    };
    if valid { Ok(format!("{name}:{port}")) } else { Err(wrong("there is no host")) }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Embedded(path) => write!(f, "redb:{}", path.display()),
            Address::Etcd(Etcd { tls, members, prefix }) => {
                write!(f, "etcd{}://{}/{prefix}", if *tls { "s" } else { "" }, members.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_addresses_and_back() {
        for (words, printed) in [
            ("redb:/var/lib/xdpilot/store.redb", "redb:/var/lib/xdpilot/store.redb"),
            ("etcd://10.0.0.1", "etcd://10.0.0.1:2379/xdpilot"),
            ("etcd://a:1,b-2:2,[2001:db8::1]/fleet/blue/", "etcd://a:1,b-2:2,[2001:db8::1]:2379/fleet/blue"),
            ("etcds://[::1]:2379/", "etcds://[::1]:2379/xdpilot"),
        ] {
            let address: Address = words.parse().unwrap();
            assert_eq!(address.to_string(), printed);
            assert_eq!(printed.parse::<Address>().unwrap(), address);
        }
    }

    #[test]
    fn wrong_words_are_told() {
        for (words, why) in [
            ("", "a store is redb:PATH"),
            ("redb:", "a store is redb:PATH"),
            ("http://a:1", "a store is redb:PATH"),
            ("etcd://", "no host"),
            ("etcd://a:0", "no port"),
            ("etcd://a:b", "no port"),
            ("etcd://a,,b", "no host"),
            ("etcd://me:secret@a:1", "XDPILOT_STORE_USER"),
        ] {
            let error = words.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{words}: {error}");
        }
    }
}
