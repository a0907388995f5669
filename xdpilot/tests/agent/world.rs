//! Hosts with an interface each, and agents that keep them.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::member::Member;

/// Long enough for anything on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until the answer is there.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A name that nothing else on this machine has.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("xg{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Runs a line of words that must succeed.
#[track_caller]
pub(crate) fn run(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A namespace whose interface e0 leads to 10.9.0.1 in another one; all gone with this value.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) folder: TempDir,
    /// The end of its way to a fleet, there; none where it has none.
    port: Option<String>,
}

impl Host {
    pub(crate) fn new() -> Self {
        let host = Host { name: unique(), folder: tempfile::tempdir().unwrap(), port: None };
        let name = &host.name;
        run(&format!("ip netns add {name}"));
        run(&format!("ip netns add {name}p"));
        host.wire("e0");
        host
    }

    /// A pair of interfaces from the host to its peer.
    pub(crate) fn wire(&self, interface: &str) {
        let name = &self.name;
        run(&format!("ip -n {name} link add {interface} type veth peer name p0 netns {name}p"));
        for (namespace, interface, address) in
            [(name.clone(), interface, "10.9.0.2/24"), (format!("{name}p"), "p0", "10.9.0.1/24")]
        {
            run(&format!("ip -n {namespace} link set {interface} up"));
            run(&format!("ip -n {namespace} address add {address} dev {interface}"));
        }
    }

    /// Its pair of interfaces goes, and a new one comes.
    pub(crate) fn rewire(&self) {
        run(&format!("ip -n {} link delete e0", self.name));
        self.wire("e0");
    }

    /// Whether the host answers its peer's ping.
    pub(crate) fn answers(&self) -> bool {
        let words = ["netns", "exec", &format!("{}p", self.name), "hping3", "--icmp", "-c", "1", "10.9.0.2"];
        let output = Command::new("ip").args(words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("packets transmitted"), "{said}");
        said.contains("1 packets received")
    }

    /// The id of the XDP program of an interface.
    pub(crate) fn program(&self, interface: &str) -> Option<u64> {
        let words = ["-n", &self.name, "-j", "-d", "link", "show", interface];
        let output = Command::new("ip").args(words).output().unwrap();
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        shown[0]["xdp"]["prog"]["id"].as_u64()
    }

    /// The folder of its state.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The command, with this host's state.
    pub(crate) fn command(&self, store: &str, words: &[&str]) -> Command {
        self.command_behind(&[], store, words)
    }

    /// The same, behind other words.
    fn command_behind(&self, before: &[&str], store: &str, words: &[&str]) -> Command {
        let all = [before, &["ip", "netns", "exec", &self.name, env!("CARGO_BIN_EXE_xdpilot")], words].concat();
        let mut command = Command::new(all[0]);
        command.args(&all[1..]);
        command.env("XDPILOT_STATE", self.state()).env("XDPILOT_CONFIG", "/nonexistent");
        command.env_remove("XDPILOT_STORE");
        if !store.is_empty() {
            command.env("XDPILOT_STORE", store);
        }
        command
    }

    pub(crate) fn output(&self, store: &str, words: &[&str]) -> Output {
        self.command(store, words).output().unwrap()
    }

    /// The command must succeed.
    #[track_caller]
    pub(crate) fn xdpilot(&self, store: &str, words: &[&str]) -> String {
        let output = self.output(store, words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A file of the host's folder.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Its agent.
    pub(crate) fn agent(&self, store: &str, more: &[&str]) -> Agent {
        self.start(self.command(store, &self.agent_words(more)))
    }

    /// The same, with these variables.
    pub(crate) fn agent_with(&self, store: &str, more: &[&str], variables: &[(&str, &str)]) -> Agent {
        let mut command = self.command(store, &self.agent_words(more));
        command.envs(variables.iter().copied());
        self.start(command)
    }

    /// The same, whose command stands behind other words.
    pub(crate) fn agent_behind(&self, before: &[&str], store: &str, more: &[&str]) -> Agent {
        self.start(self.command_behind(before, store, &self.agent_words(more)))
    }

    fn agent_words<'w>(&'w self, more: &[&'w str]) -> Vec<&'w str> {
        [&["agent", "--node", &self.name], more].concat()
    }

    fn start(&self, mut command: Command) -> Agent {
        let log = self.folder.path().join("agent.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stderr(file).stdout(Stdio::null()).spawn().unwrap();
        Agent { child, log }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for name in [&self.name, &format!("{}p", self.name)] {
            // Failures would hide why the test ends.
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

/// A network by which hosts reach the members of an etcd; all gone with this value.
pub(crate) struct Fleet {
    pub(crate) name: String,
    joined: AtomicU32,
    /// The members, at 10.8.0.1 and following.
    pub(crate) members: Vec<Member>,
}

impl Fleet {
    /// One with so many members.
    pub(crate) fn new(members: u8) -> Self {
        let name = unique();
        run(&format!("ip netns add {name}"));
        run(&format!("ip -n {name} link add b0 type bridge"));
        let addresses: Vec<String> = (1..=members).map(|number| format!("10.8.0.{number}")).collect();
        addresses.iter().for_each(|address| drop(run(&format!("ip -n {name} address add {address}/24 dev b0"))));
        run(&format!("ip -n {name} link set b0 up"));
        run(&format!("ip -n {name} link set lo up"));
        let members = Member::within(&name, &addresses);
        Fleet { name, joined: AtomicU32::new(0), members }
    }

    /// Its store, as the command names it.
    pub(crate) fn store(&self) -> String {
        let members: Vec<&str> = self.members.iter().map(|member| member.client.as_str()).collect();
        format!("etcd://{}", members.join(","))
    }

    /// A host that reaches the members.
    pub(crate) fn host(&self) -> Host {
        let mut host = Host::new();
        let number = self.joined.fetch_add(1, Ordering::Relaxed);
        let (fleet, name) = (&self.name, &host.name);
        run(&format!("ip -n {fleet} link add h{number} type veth peer name fleet0 netns {name}"));
        run(&format!("ip -n {fleet} link set h{number} master b0 up"));
        run(&format!("ip -n {name} address add 10.8.0.{}/24 dev fleet0", 100 + number));
        run(&format!("ip -n {name} link set fleet0 up"));
        host.port = Some(format!("h{number}"));
        host
    }

    /// The host reaches no member any more.
    pub(crate) fn cut(&self, host: &Host) {
        self.set(host, "down");
    }

    /// It reaches them again.
    pub(crate) fn heal(&self, host: &Host) {
        self.set(host, "up");
    }

    fn set(&self, host: &Host, state: &str) {
        run(&format!("ip -n {} link set {} {state}", self.name, host.port.as_ref().unwrap()));
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.members.clear();
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).output();
    }
}

/// An agent, which is killed with this value.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// What it told.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Ends it as a service manager does.
    pub(crate) fn end(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let status = until("the agent's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A policy that drops pings, at these places.
pub(crate) fn no_pings(places: &str) -> String {
    format!("policy edge on {places} {{\n  drop when icmp\n}}\n")
}
