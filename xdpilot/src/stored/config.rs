//! Which store is meant: as the command says, else the environment, else the configuration file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};

use crate::agent::node::Node;
use crate::store::Address;

/// The configuration file: lines of `KEY = VALUE`; `#` begins a comment.
pub const FILE: &str = "/etc/xdpilot.conf";
const STATE: &str = "/var/lib/xdpilot";
const KEYS: [&str; 4] = ["store", "state", "node", "label"];

/// Where the store is, and which node this is.
#[derive(Clone, Debug, Default, ClapArgs)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// The store: redb:PATH, etcd://HOST:PORT,…/PREFIX or etcds:// with TLS; else XDPILOT_STORE, else the
    /// line `store = …` of /etc/xdpilot.conf, else an agent of this machine, else redb:/var/lib/xdpilot/store.redb
    #[arg(long, value_name = "STORE", global = true)]
    store: Option<Address>,
    /// The folder of what a node keeps; else XDPILOT_STATE, else /var/lib/xdpilot
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// The node's name, where it is not the machine's
    #[arg(long, value_name = "NAME", global = true)]
    node: Option<String>,
    /// A label of the node, KEY=VALUE; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", global = true)]
    labels: Vec<String>,
}

/// What the arguments, the environment and the configuration file say together.
#[derive(Clone, Debug)]
pub struct Config {
    /// The store; none where nothing is said.
    pub store: Option<Address>,
    /// The folder of what the node keeps.
    pub state: PathBuf,
    /// The node.
    pub node: Node,
}

impl Config {
    /// The store that is meant where there is no agent.
    pub fn store_or_default(&self) -> Address {
        self.store.clone().unwrap_or_else(|| Address::Embedded(self.state.join("store.redb")))
    }

    /// The socket of this machine's agent.
    pub fn socket(&self) -> PathBuf {
        self.state.join("agent.sock")
    }
}

impl StoreArgs {
    /// Whether the arguments name a store.
    pub fn is_named(&self) -> bool {
        self.store.is_some() || self.state.is_some()
    }

    /// What is meant.
    ///
    /// # Errors
    /// The configuration file or the environment has no sense.
    pub fn config(&self) -> Result<Config> {
        let file = std::env::var_os("XDPILOT_CONFIG").map_or_else(|| PathBuf::from(FILE), PathBuf::from);
        let said = read(&file)?;
        let line = |wanted: &str| said.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let store = match &self.store {
            Some(store) => Some(store.clone()),
            None => variable("XDPILOT_STORE").or_else(|| line("store")).map(|words| words.parse()).transpose()?,
        };
        let state =
            self.state.clone().or_else(|| variable("XDPILOT_STATE").or_else(|| line("state")).map(PathBuf::from));
        let name = self.node.clone().or_else(|| line("node")).map_or_else(host_name, Ok)?;
        let mut labels: Vec<String> =
            said.iter().filter(|(key, _)| key == "label").map(|(_, value)| value.clone()).collect();
        labels.extend(self.labels.iter().cloned());
        Ok(Config { store, state: state.unwrap_or_else(|| PathBuf::from(STATE)), node: Node::new(&name, &labels)? })
    }
}

/// The machine's name.
fn host_name() -> Result<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname");
    let name = name.map_err(|error| Error::failed("read the machine's name").kernel(error.to_string()))?;
    Ok(name.trim().to_string())
}

/// The lines of the configuration file; none where there is no file.
fn read(path: &Path) -> Result<Vec<(String, String)>> {
    let failed = || Error::usage(format!("read {}", path.display()));
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| failed().kernel(error.to_string()))?,
    };
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let pair = line.split_once('=').map(|(key, value)| (key.trim().to_string(), value.trim().to_string()));
        match pair.filter(|(key, value)| KEYS.contains(&key.as_str()) && !value.is_empty()) {
            Some(pair) => lines.push(pair),
            None => {
                let expected = format!("expected KEY = VALUE, where KEY is one of {}", KEYS.join(", "));
                return Err(failed().cause(format!("line {number}, {line:?}: {expected}")));
            }
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("xdpilot.conf");
        assert_eq!(read(&path).unwrap(), []);
        fs::write(&path, "# fleet\nstore = etcd://a:1/x  # ours\n\nlabel = role=edge\nlabel=zone=1\n").unwrap();
        let pair = |key: &str, value: &str| (key.to_string(), value.to_string());
        let expected = [pair("store", "etcd://a:1/x"), pair("label", "role=edge"), pair("label", "zone=1")];
        assert_eq!(read(&path).unwrap(), expected);
        fs::write(&path, "stor = etcd://a:1/x").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("line 1"));
    }
}
