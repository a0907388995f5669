//! What the tests need of a container engine, Docker or Podman: their command lines are the same here.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use xdpilot::engine::{Client, Engine};

use super::watchdog::Watchdog;
use super::{image, run};

/// Makes, in `$dir`, what [`MOUNTS`] needs.
pub(crate) const MOUNT_DIRS: &str = r#"mkdir "$dir/etc" "$dir/etc.work" "$dir/var" "$dir/var.work""#;
/// Shell, in a mount namespace of its own: what the engine writes below /etc and /var goes to `$dir`, and /run is empty.
pub(crate) const MOUNTS: &str = "
    mount -t overlay overlay -o lowerdir=/etc,upperdir=$dir/etc,workdir=$dir/etc.work /etc
    mount -t overlay overlay -o lowerdir=/var,upperdir=$dir/var,workdir=$dir/var.work /var
    mount -t tmpfs tmpfs /run";

/// Names that no other process of this machine has.
pub(crate) struct Names {
    /// Label of the containers, name of image, network and cgroup.
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    pub(crate) bridge: String,
    /// The first three numbers of an IPv4 /24 network, in the block for benchmarks (RFC 2544).
    pub(crate) subnet: String,
}

/// New names; the directory exists afterwards.
pub(crate) fn names(engine: &str) -> Names {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let id = format!("xp{pid}-{engine}-{count}");
    let dir = std::env::temp_dir().join(&id);
    fs::create_dir(&dir).unwrap();
    let bridge = format!("xp{pid}{}{count}", &engine[..1]);
    let subnet = pid.wrapping_mul(7).wrapping_add(count);
    Names { id, dir, bridge, subnet: format!("198.{}.{}", 18 + subnet / 256 % 2, subnet % 256) }
}

impl Names {
    /// Shell that removes the cgroups which the engine leaves. Nothing tells when the last helper of a container has
    /// left its own (Podman's conmon outlives it by a moment), so it is tried again for five seconds.
    pub(crate) fn remove_cgroups(&self) -> String {
        let remove = format!("find /sys/fs/cgroup -depth -type d -path '*/{}*' -exec rmdir {{}} +", self.id);
        format!("for attempt in $(seq 100); do {remove} && break; sleep 0.05; done")
    }
}

/// An engine with the image of the tests. Dropping it ends it, if the tests started it.
pub(crate) struct TestEngine {
    pub(crate) engine: Engine,
    pub(crate) socket: PathBuf,
    pub(crate) names: Names,
    /// Set where the bridge gets its address from us.
    pub(crate) bridge_address: Option<String>,
    run_args: Vec<String>,
    containers: AtomicU32,
    watchdog: Watchdog,
}

impl TestEngine {
    /// The engine in `slot`, made anew if nobody holds it any more.
    pub(crate) fn shared(slot: &Mutex<Weak<Self>>, start: impl FnOnce() -> Self) -> Arc<Self> {
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.upgrade().unwrap_or_else(|| {
            let engine = Arc::new(start());
            *slot = Arc::downgrade(&engine);
            engine
        })
    }

    /// Waits until the engine answers, and gives it the image. `run_args` are added to each `run`.
    pub(crate) fn new(
        engine: Engine,
        socket: PathBuf,
        names: Names,
        run_args: Vec<String>,
        watchdog: Watchdog,
    ) -> Self {
        let containers = AtomicU32::new(0);
        let mut new = TestEngine { engine, socket, names, bridge_address: None, run_args, containers, watchdog };
        new.await_socket();
        image::write_tar(&new.names.dir);
        new.client(&["import", new.names.dir.join("image.tar").to_str().unwrap(), &new.names.id]);
        new
    }

    /// The engine listens before it is ready, and answers when it is: the first command waits for that.
    fn await_socket(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(&self.socket).is_err() {
            self.watchdog.assert_alive();
            let log = || fs::read_to_string(self.names.dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{} does not start:\n{}", self.engine, log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The library's client for this engine.
    pub(crate) fn asked(&self) -> Client {
        Client::at(self.engine, &self.socket)
    }

    /// Runs the engine's own command and returns what it prints.
    pub(crate) fn client(&self, args: &[&str]) -> String {
        let host = self.host();
        let host = host.each_ref().map(String::as_str);
        run(self.engine.word(), &[&host, args].concat())
    }

    fn host(&self) -> [String; 2] {
        let flag = match self.engine {
            Engine::Docker => "-H",
            Engine::Podman => "--url",
        };
        [flag.to_owned(), format!("unix://{}", self.socket.display())]
    }

    /// Runs a container that serves HTTP on port 80 and echoes UDP on port 7, and waits until it does.
    pub(crate) fn run_container(self: &Arc<Self>) -> TestContainer {
        let name = format!("{}-{}", self.names.id, self.containers.fetch_add(1, Ordering::Relaxed));
        let fixed = ["run", "-d", "--name", &name, "--label", &self.names.id, "--stop-signal", "KILL"];
        let own: Vec<&str> = self.run_args.iter().map(String::as_str).collect();
        let id = self.client(&[&fixed, &own[..], &[self.names.id.as_str()], &image::COMMAND].concat());
        let container = TestContainer { engine: Arc::clone(self), name, id: id.trim().to_owned() };
        container.await_ready(1);
        container
    }
}

/// A running container. Dropping it removes it.
pub(crate) struct TestContainer {
    pub(crate) engine: Arc<TestEngine>,
    pub(crate) name: String,
    pub(crate) id: String,
}

impl TestContainer {
    /// Its IPv4 address.
    pub(crate) fn address(&self) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        self.engine.client(&["inspect", "-f", format, &self.name]).trim().to_owned()
    }

    /// Ends it and starts it again, and waits until it serves.
    pub(crate) fn restart(&self) {
        self.engine.client(&["restart", "-t", "0", &self.name]);
        self.await_ready(2);
    }

    /// Waits until it can be reached, and has served this many times in its life: its log outlives a restart.
    fn await_ready(&self, times: usize) {
        if let Some(address) = &self.engine.bridge_address {
            run("ip", &["addr", "replace", address, "dev", &self.engine.names.bridge]);
        }
        let mut logs = Command::new(self.engine.engine.word())
            .args(self.engine.host())
            .args(["logs", "-f", &self.name])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(logs.stdout.take().unwrap()).lines().take(times);
        let lines: Vec<String> = lines.map(Result::unwrap).collect();
        logs.kill().unwrap();
        logs.wait().unwrap();
        assert_eq!(lines, vec!["ready"; times]);
    }
}

impl Drop for TestContainer {
    fn drop(&mut self) {
        // No `run`: its panic, while a test panics, would abort before the engine is ended.
        let mut remove = Command::new(self.engine.engine.word());
        let _ = remove.args(self.engine.host()).args(["rm", "-f", &self.name]).output();
    }
}
