//! A private Podman for tests, with its API service: store, state, network and locks are its own.

use std::sync::{Arc, Mutex, Weak};

use xdpilot::engine::Engine;

use super::engine::{MOUNT_DIRS, MOUNTS, TestEngine, names};
use super::run;
use super::watchdog::Watchdog;

/// The engine of this test process: it lives as long as somebody holds it.
pub(crate) fn shared() -> Arc<TestEngine> {
    static SHARED: Mutex<Weak<TestEngine>> = Mutex::new(Weak::new());
    TestEngine::shared(&SHARED, private)
}

/// Starts `podman system service`. Its lock file is in /dev/shm, its caches in /var; netavark would set the host's
/// forwarding switch, so a file of ours lies over it.
fn private() -> TestEngine {
    let names = names("podman");
    let start = format!(
        "{MOUNT_DIRS}
         echo 0 >\"$dir/forward\"
         unshare --mount --propagation private sh -ec 'dir=$1; {MOUNTS}
           mount -t tmpfs tmpfs /dev/shm
           mount --bind $dir/forward /proc/sys/net/ipv4/ip_forward
           exec podman --root $dir/data --runroot $dir/exec --tmpdir $dir/tmp --network-config-dir $dir/net \\
             --runtime runc --cgroup-manager cgroupfs --events-backend file --storage-driver overlay \\
             system service --time=0 unix://$dir/sock' sh \"$dir\" </dev/null &
         daemon=$!"
    );
    let stop = format!(
        "podman --url unix://$dir/sock rm -f -t 0 --all
         kill $daemon
         wait $daemon
         ip link del {} 2>/dev/null # gone with the last container, if there was one
         {}",
        names.bridge,
        names.remove_cgroups()
    );
    let watchdog = Watchdog::start(&names.dir, &start, &stop);
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let own = ["--cgroup-parent".to_owned(), format!("/{}", names.id), "--network".to_owned(), names.id.clone()];
    let args = limits.map(str::to_owned).into_iter().chain(own).collect();
    let mut engine = TestEngine::new(Engine::Podman, names.dir.join("sock"), names, args, watchdog);
    create_network(&mut engine);
    engine
}

/// A network without firewall rules (internal), on a bridge of our name, which only the API can choose. An internal
/// network has no address at the host's end: the tests add the first of the subnet.
fn create_network(engine: &mut TestEngine) {
    let (id, bridge, subnet) = (&engine.names.id, &engine.names.bridge, &engine.names.subnet);
    let network = format!(
        r#"{{"name":"{id}","driver":"bridge","network_interface":"{bridge}","internal":true,"subnets":[{{"subnet":
        "{subnet}.0/24","lease_range":{{"start_ip":"{subnet}.2","end_ip":"{subnet}.254"}}}}]}}"#
    );
    let socket = engine.socket.to_str().unwrap();
    let url = "http://podman/v4.0.0/libpod/networks/create";
    run("curl", &["-sS", "--fail", "--unix-socket", socket, "--json", &network, url]);
    engine.bridge_address = Some(format!("{subnet}.1/24"));
}
