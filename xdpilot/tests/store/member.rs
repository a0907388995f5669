//! Members of etcd, each a process that ends with its value, also where this process is killed.

use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::folder::Folder;
use crate::watchdog::Watchdog;

/// A member.
pub(crate) struct Member {
    /// `HOST:PORT` for clients.
    pub(crate) client: String,
    words: Vec<String>,
    /// The network namespace that it is in; none for that of the tests.
    within: Option<String>,
    data: Folder,
    running: Mutex<Option<Running>>,
}

struct Running {
    _watchdog: Watchdog,
    pid: Pid,
}

/// An address of the loopback interface that nobody else has: so no port has to be looked for.
pub(crate) fn address() -> String {
    static NUMBERS: AtomicU32 = AtomicU32::new(1);
    let (process, number) = (std::process::id(), NUMBERS.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 1 + (process >> 8) % 254, process & 0xff, number)
}

impl Member {
    /// One that is a cluster of its own.
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::of_cluster(None, &address(), &[], false, words)
    }

    /// One that speaks TLS.
    pub(crate) fn start_with_tls(host: &str, words: &[&str]) -> Self {
        Self::of_cluster(None, host, &[], true, words)
    }

    /// Three that are a cluster.
    pub(crate) fn three() -> [Self; 3] {
        let hosts = [address(), address(), address()];
        [0, 1, 2].map(|index| Self::of_cluster(None, &hosts[index], &hosts, false, &[]))
    }

    /// Those at these addresses of a network namespace, as one cluster.
    pub(crate) fn within(namespace: &str, hosts: &[String]) -> Vec<Self> {
        hosts.iter().map(|host| Self::of_cluster(Some(namespace), host, hosts, false, &[])).collect()
    }

    fn of_cluster(within: Option<&str>, host: &str, hosts: &[String], tls: bool, more: &[&str]) -> Self {
        let data = Folder::new();
        let scheme = if tls { "https" } else { "http" };
        let (client, peer) = (format!("{scheme}://{host}:2379"), format!("http://{host}:2380"));
        let cluster = if hosts.is_empty() { vec![host.to_string()] } else { hosts.to_vec() };
        let cluster: Vec<String> = cluster.iter().map(|host| format!("{host}=http://{host}:2380")).collect();
        let (cluster, folder) = (cluster.join(","), data.path("data").display().to_string());
        let words = [
            ["--name", host],
            ["--data-dir", &folder],
            ["--listen-client-urls", &client],
            ["--advertise-client-urls", &client],
            ["--listen-peer-urls", &peer],
            ["--initial-advertise-peer-urls", &peer],
            ["--initial-cluster", &cluster],
            ["--heartbeat-interval", "100"],
            ["--election-timeout", "1000"],
        ];
        let words = words.iter().flatten().chain(more).map(ToString::to_string).collect();
        let within = within.map(ToString::to_string);
        let member = Member { client: format!("{host}:2379"), words, within, data, running: Mutex::new(None) };
        member.run();
        member
    }

    /// Starts it, with what it has on its disk.
    pub(crate) fn run(&self) {
        let folder = self.data.path("run");
        fs::create_dir_all(&folder).unwrap();
        let words: Vec<String> = self.words.iter().map(|word| format!("'{word}'")).collect();
        let enter = self.within.as_ref().map_or_else(String::new, |name| format!("ip netns exec {name} "));
        let start =
            format!("{enter}etcd {} &\npid=$!\necho $pid >\"$dir/new\"; mv \"$dir/new\" \"$dir/pid\"", words.join(" "));
        let mut watchdog = Watchdog::start(&folder, &start, "kill -9 $pid; wait $pid");
        let end = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            watchdog.assert_alive();
            assert!(Instant::now() < end, "etcd does not start");
            if let Ok(pid) = fs::read_to_string(folder.join("pid")) {
                break pid.trim().parse().unwrap();
            }
            std::thread::yield_now();
        };
        *self.running.lock().unwrap() = Some(Running { _watchdog: watchdog, pid: Pid::from_raw(pid) });
    }

    /// Ends it by SIGKILL.
    pub(crate) fn kill(&self) {
        self.running.lock().unwrap().take();
    }

    /// It hangs: connections stay, and nothing is answered.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(self.running.lock().unwrap().as_ref().unwrap().pid, signal).unwrap();
    }

    /// The whole data of it is gone.
    pub(crate) fn forget(&self) {
        self.kill();
        fs::remove_dir_all(self.data.path("data")).unwrap();
    }

    /// What `etcdctl` of this member says.
    pub(crate) fn ctl(&self, words: &[&str]) -> String {
        etcdctl_within(self.within.as_deref(), &[&["--endpoints", &self.client], words].concat())
    }
}

/// What `etcdctl` says.
pub(crate) fn etcdctl(words: &[&str]) -> String {
    etcdctl_within(None, words)
}

fn etcdctl_within(namespace: Option<&str>, words: &[&str]) -> String {
    let mut command = match namespace {
        None => Command::new("etcdctl"),
        Some(name) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", name, "etcdctl"]);
            command
        }
    };
    let output = command.args(words).env("ETCDCTL_API", "3").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "etcdctl {words:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}
