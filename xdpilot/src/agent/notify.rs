//! What the service manager is told (`sd_notify(3)`).

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

use super::report::{Report, State};

/// The way to the service manager; nothing is told where there is none.
#[derive(Debug)]
pub(super) struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// Between two signs of life, and the last one.
    watchdog: Option<(Duration, Instant)>,
    /// Whether it was told that the agent is ready.
    ready: bool,
}

impl Notify {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let theirs = |pid: &String| pid.parse() != Ok(std::process::id());
        let watchdog = variable("WATCHDOG_USEC").and_then(|micros| micros.parse().ok());
        let watchdog = watchdog.filter(|_| !variable("WATCHDOG_PID").is_some_and(|pid| theirs(&pid)));
        Notify::new(variable("NOTIFY_SOCKET").as_deref(), watchdog.map(Duration::from_micros))
    }

    fn new(socket: Option<&str>, watchdog: Option<Duration>) -> Self {
        let address = socket.and_then(|socket| match socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(socket).ok(),
        });
        let manager = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        // Twice in the time that is allowed, as the protocol advises.
        let watchdog = watchdog.filter(|_| manager.is_some()).map(|time| (time / 2, Instant::now()));
        Notify { manager, watchdog, ready: false }
    }

    fn tell(&self, words: &str) {
        if let Some((socket, manager)) = &self.manager {
            // It may be gone, or busy; the agent goes on.
            _ = socket.send_to_addr(words.as_bytes(), manager);
        }
    }

    /// How the node is. From the first time on the agent is ready: what is stored is attached.
    pub(super) fn status(&mut self, report: &Report) {
        self.say(&words(report));
    }

    /// The store was never seen, and cannot be reached: who waits for the agent need not wait for that.
    pub(super) fn waits(&mut self) {
        self.say("waits for the store");
    }

    fn say(&mut self, status: &str) {
        let ready = if std::mem::replace(&mut self.ready, true) { "" } else { "READY=1\n" };
        self.tell(&format!("{ready}STATUS={status}"));
    }

    /// The end begins.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// The loop goes on; it is told when that is due.
    pub(super) fn alive(&mut self) {
        let Some((every, last)) = &mut self.watchdog else { return };
        if last.elapsed() >= *every {
            *last = Instant::now();
            self.tell("WATCHDOG=1");
        }
    }

    /// When the next sign of life is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.watchdog.map(|(every, last)| last + every)
    }
}

fn words(report: &Report) -> String {
    let count = |state| report.attached.iter().filter(|one| one.state == state).count();
    let all = [(count(State::Ok), "in force"), (count(State::Waiting), "wait"), (count(State::Failed), "failed")];
    let mut words: Vec<String> =
        all.iter().filter(|(count, _)| *count > 0).map(|(n, word)| format!("{n} {word}")).collect();
    if !report.refused.is_empty() {
        words.push(format!("{} documents refused", report.refused.len()));
    }
    if words.is_empty() {
        words.push("nothing to attach".to_string());
    }
    format!("revision {}: {}", report.revision, words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let mut notify = Notify::new(path.to_str(), Some(Duration::from_micros(2)));
        let heard = || {
            let mut bytes = [0; 256];
            let count = manager.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        };
        notify.waits();
        assert_eq!(heard(), "READY=1\nSTATUS=waits for the store");
        notify.status(&Report { revision: 7, ..Report::default() });
        assert_eq!(heard(), "STATUS=revision 7: nothing to attach");
        assert!(notify.next().is_some());
        while notify.next().unwrap() > Instant::now() {}
        notify.alive();
        assert_eq!(heard(), "WATCHDOG=1");
        notify.stopping();
        assert_eq!(heard(), "STOPPING=1");
        let mut nobody = Notify::new(None, Some(Duration::from_secs(1)));
        nobody.waits();
        assert_eq!(nobody.next(), None);
    }
}
