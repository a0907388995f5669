//! A Docker engine for tests: the one that runs on this machine, else a private one.

use std::sync::{Arc, Mutex, Weak};

use xdpilot::engine::{Client, Engine};

use super::engine::{TestEngine, names};
use super::watchdog::Watchdog;

/// The engine of this test process: it lives as long as somebody holds it.
pub(crate) fn shared() -> Arc<TestEngine> {
    static SHARED: Mutex<Weak<TestEngine>> = Mutex::new(Weak::new());
    TestEngine::shared(&SHARED, || match Client::connect(Engine::Docker) {
        Ok(client) => running(&client),
        Err(_) => private(),
    })
}

/// Uses a running engine; the watchdog removes only what carries our label.
fn running(client: &Client) -> TestEngine {
    let names = names("docker");
    let host = format!("unix://{}", client.socket().display());
    let stop = format!(
        "docker -H {host} ps -aq --filter label={0} | xargs -r docker -H {host} rm -f
         docker -H {host} images -q {0} | xargs -r docker -H {host} rmi -f",
        names.id
    );
    let watchdog = Watchdog::start(&names.dir, "", &stop);
    TestEngine::new(Engine::Docker, client.socket().to_owned(), names, vec![], watchdog)
}

/// Starts dockerd, and again whenever it ends, with everything of its own: it sees /etc, /var and /run through private mounts, since its key file
/// and plugin directory are at fixed places there, and touches neither iptables nor the forwarding switch.
pub(crate) fn private() -> TestEngine {
    let names = names("docker");
    let start = format!(
        "ip link add {bridge} type bridge
         ip addr add {subnet}.1/24 dev {bridge}
         ip link set {bridge} up
         {private_mounts}
         mkdir \"$dir/data\" \"$dir/exec\"
         echo '{{}}' >\"$dir/daemon.json\"
         unshare --mount --propagation private sh -ec 'dir=$1; {mounts}
           until [ -e $dir/over ]; do
             dockerd --config-file $dir/daemon.json --data-root $dir/data --exec-root $dir/exec \\
               --pidfile $dir/dockerd.pid -H unix://$dir/sock --bridge {bridge} --cgroup-parent /{id} \\
               --iptables=false --ip-masq=false --ip-forward=false --userland-proxy=false || break
           done' sh \"$dir\" </dev/null &
         daemon=$!",
        bridge = names.bridge,
        subnet = names.subnet,
        id = names.id,
        private_mounts = super::engine::MOUNT_DIRS,
        mounts = super::engine::MOUNTS,
    );
    let stop = format!(
        "touch \"$dir/over\"
         kill $(cat \"$dir/dockerd.pid\")
         wait $daemon
         ip link del {}
         {}",
        names.bridge,
        names.remove_cgroups()
    );
    let watchdog = Watchdog::start(&names.dir, &start, &stop);
    TestEngine::new(Engine::Docker, names.dir.join("sock"), names, vec![], watchdog)
}
