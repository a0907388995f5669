//! What a service manager and the agent tell each other.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agent::command;
use crate::command::XDPILOT;
use crate::curl::Curl;

fn hear(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let count = manager.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

#[test]
fn root_the_manager_hears_of_begin_life_and_end() {
    let folder = tempfile::Builder::new().prefix("xpa").tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut agent = command(folder.path());
    let mut child = agent.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000").spawn().unwrap();
    // The first pass is over.
    let ready = hear(&manager);
    assert!(ready.starts_with("READY=1\n") && ready.ends_with("nothing to attach"), "{ready}");
    assert!(Curl::unix(&folder.path().join("agent.sock")).ask("/healthz").status == 200, "ready means ready");
    let mut heard = Vec::new();
    while heard.iter().filter(|words| *words == "WATCHDOG=1").count() < 3 {
        heard.push(hear(&manager));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    while hear(&manager) != "STOPPING=1" {}
    assert!(child.wait().unwrap().success());
}

#[test]
fn root_a_socket_of_the_manager_is_taken_and_left() {
    let folder = tempfile::Builder::new().prefix("xpa").tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Who asks before there is an agent is answered by it.
    let early = Curl::unix(&path).stream("/healthz");
    let begin = |input: OwnedFd| {
        let script = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$@\"";
        let state = folder.path().to_str().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh", XDPILOT, "agent", "--state", state, "--node", "xpmanager"]);
        command.stdin(Stdio::from(input)).stderr(Stdio::piped()).spawn().unwrap()
    };
    let child = begin(listener.try_clone().unwrap().into());
    let output = early.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("\"ok\""), "{output:?}");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(path.exists(), "the socket is the manager's");

    let other = UnixDatagram::unbound().unwrap();
    let refused = begin(other.into()).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("no Unix socket that listens"), "{told}");
}
