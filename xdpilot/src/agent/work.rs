//! The loop of the agent: what wakes it, and what follows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use xdpilot_core::error::Result;

use super::api::Shared;
use super::around::Around;
use super::canary::Canary;
use super::checks::Checks;
use super::conduct::Ask;
use super::follow::Told;
use super::log::{Level, log};
use super::node::Node;
use super::notify::Notify;
use super::reconcile::{Note, Reconciler};
use super::report::{Attached, Report, State};
use super::surroundings::Happening;
use crate::documents::{DOCUMENTS, Snapshot};
use crate::store::Store;
use crate::sweep;

/// What wakes the loop.
#[derive(Debug)]
pub(super) enum Wake {
    /// Something about the store.
    Store(Told),
    /// Something about targets.
    Happened(Happening),
    /// The end.
    End,
}

/// So long a store that is elsewhere may take at the begin, before the last state of it is taken.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a node is looked at that has a rollout.
const TICK: Duration = Duration::from_millis(500);
/// The longest time without a look at whether all is as it should be: that a program was taken off by somebody, nobody tells.
const ROUND: Duration = Duration::from_secs(10);

/// The loop's state.
pub(super) struct Agent {
    reconciler: Reconciler,
    /// What documents and their pieces are read from: on this machine.
    near: Arc<dyn Store>,
    snapshot: Option<Snapshot>,
    last: Option<Arc<Report>>,
    hands: Hands,
    /// Whether a pass is to come, whatever else there is.
    due: bool,
    /// The rollout that this node has before others.
    canary: Option<Canary>,
    begun: Instant,
    /// When the last pass began.
    passed: Instant,
}

/// What the loop works with besides the kernel.
pub(super) struct Hands {
    pub(super) reports: Sender<Arc<Report>>,
    pub(super) asks: Sender<Ask>,
    pub(super) checks: Checks,
    pub(super) around: Around,
    /// What the API is told.
    pub(super) shared: Arc<Shared>,
    pub(super) notify: Notify,
}

impl Agent {
    pub(super) fn new(node: Node, near: Arc<dyn Store>, hands: Hands) -> Self {
        Agent {
            reconciler: Reconciler::new(node),
            near,
            snapshot: None,
            last: None,
            hands,
            due: false,
            canary: None,
            begun: Instant::now(),
            passed: Instant::now(),
        }
    }

    /// Works until a wake says that it is the end.
    ///
    /// # Errors
    /// This user may not see what stands.
    pub(super) fn work(&mut self, wakes: &Receiver<Wake>) -> Result<()> {
        log(
            Level::Info,
            "agent begins",
            &[
                ("node", &self.reconciler.node().name),
                ("version", env!("CARGO_PKG_VERSION")),
                ("store", &self.near.name()),
            ],
        );
        let mut looked = Instant::now();
        loop {
            let now = Instant::now();
            let due = self.next(looked);
            let next = self.hands.notify.next().map_or(due, |alive| alive.min(due)).saturating_duration_since(now);
            if self.canary.is_some() && self.passed + TICK <= now {
                self.due = true;
            }
            match wakes.recv_timeout(next) {
                Ok(wake) => {
                    let mut go_on = self.take(wake);
                    // Of several states only the last one counts.
                    while let Ok(wake) = wakes.try_recv() {
                        go_on &= self.take(wake);
                    }
                    if !go_on {
                        self.hands.notify.stopping();
                        log(Level::Info, "agent ends; what is attached stays", &[]);
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look_again(&mut looked),
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if std::mem::take(&mut self.due) || self.reconciler.is_due() {
                self.pass()?;
            }
            self.hands.notify.alive();
        }
    }

    /// When something is to be done without a wake.
    fn next(&self, looked: Instant) -> Instant {
        if self.snapshot.is_none() {
            return self.begun + PATIENCE;
        }
        let round = if self.canary.is_some() { self.passed + TICK } else { looked + ROUND };
        self.reconciler.next_try().map_or(round, |next| next.min(round))
    }

    fn look_again(&mut self, looked: &mut Instant) {
        self.due = true;
        if self.snapshot.is_none() && self.begun.elapsed() >= PATIENCE {
            self.take_last_state();
        }
        if looked.elapsed() >= ROUND {
            sweep::sweep();
            self.reconciler.look_again();
            *looked = Instant::now();
        }
    }

    /// The store is not there at the begin: its last state is.
    fn take_last_state(&mut self) {
        let listing = self.near.list(DOCUMENTS).unwrap_or_default();
        if listing.entries.is_empty() {
            // A store that was never seen: nothing is known of what should be.
            self.begun = Instant::now();
            if self.hands.shared.is_away() {
                self.hands.notify.waits();
            }
            return;
        }
        log(Level::Warning, "the last state of the store is in force", &[]);
        let mut snapshot = Snapshot::of(&*self.near, listing);
        snapshot.revision = 0;
        self.snapshot = Some(snapshot);
    }

    /// Takes note of a wake; whether it goes on.
    fn take(&mut self, wake: Wake) -> bool {
        if let Wake::Store(told) = &wake {
            self.hands.shared.told(told);
        }
        match wake {
            Wake::End => return false,
            Wake::Happened(what) => self.hands.around.take(what, &mut self.reconciler),
            Wake::Store(Told::Documents(snapshot)) => {
                self.snapshot = Some(*snapshot);
                self.due = true;
            }
            Wake::Store(Told::Away(why)) => {
                log(Level::Warning, "the store is away; its last state stays in force", &[("why", &why)]);
            }
            Wake::Store(Told::Back) => {
                log(Level::Info, "the store is back", &[]);
                self.reconciler.try_again();
                self.due = true;
            }
            Wake::Store(Told::Unsaved(why)) => {
                log(Level::Warning, "the last state of the store cannot be kept on disk", &[("why", &why)]);
            }
        }
        true
    }

    fn pass(&mut self) -> Result<()> {
        self.passed = Instant::now();
        let Some(snapshot) = &self.snapshot else { return Ok(()) };
        let near = &*self.near;
        let mine = snapshot.rollout.as_ref().filter(|rollout| rollout.is_for(&self.reconciler.node().name));
        if self.canary.as_ref().map(|canary| &canary.rollout().id) != mine.map(|rollout| &rollout.id) {
            self.canary = mine.map(|rollout| Canary::new(rollout.clone(), &self.reconciler));
        }
        if let Some(canary) = &mut self.canary {
            canary.look(self.last.as_deref(), &self.reconciler);
        }
        let has_it = self.canary.as_ref().is_some_and(Canary::has_it);
        let rolled_out = has_it.then(|| snapshot.rolled_out(near));
        let documents = rolled_out.as_ref().unwrap_or(snapshot);
        let mut report = self.reconciler.pass(near, documents)?;
        self.hands.checks.follow(&self.reconciler);
        // What happened before a target was followed is seen at once.
        if self.hands.around.follow(&mut self.reconciler) && self.reconciler.is_due() {
            report = self.reconciler.pass(near, documents)?;
        }
        for Note { policy, place, words } in self.reconciler.take_notes() {
            log(Level::Info, "note", &[("policy", &policy), ("place", &place), ("note", &words)]);
        }
        report.rollout = self.canary.as_ref().map(Canary::report);
        self.hands.shared.passed(report.attached.iter().all(|one| one.state != State::Failed));
        self.ask();
        if self.last.as_deref() == Some(&report) {
            return Ok(());
        }
        let report = Arc::new(report);
        self.hands.notify.status(&report);
        self.hands.shared.reported(&report);
        self.tell(&report);
        self.last = Some(report.clone());
        // Nobody listens at the end.
        _ = self.hands.reports.send(report);
        Ok(())
    }

    /// Sees to the end of the rollout.
    fn ask(&self) {
        if let Some(ask) = self.canary.as_ref().and_then(Canary::ask) {
            // Nobody listens at the end.
            _ = self.hands.asks.send(ask);
        }
    }

    /// Tells what is other than it was.
    fn tell(&self, report: &Report) {
        let none = Report::default();
        let before = self.last.as_deref().unwrap_or(&none);
        let (was, is) = differing(&before.attached, &report.attached);
        let stood: HashMap<_, _> = was.iter().map(|one| (whereabouts(one), one)).collect();
        let stands: HashSet<_> = is.iter().map(whereabouts).collect();
        is.iter().filter(|one| stood.get(&whereabouts(one)) != Some(one)).for_each(tell_one);
        for one in was.iter().filter(|one| one.program.is_some() && !stands.contains(&whereabouts(one))) {
            log(Level::Info, "taken off", &[("policy", &one.policy), ("place", &one.place)]);
        }
        for one in report.refused.iter().filter(|one| !before.refused.contains(one)) {
            log(Level::Warning, "document refused", &[("document", &one.document), ("why", &one.why)]);
        }
    }
}

/// Two lists without what they begin and end with in common.
fn differing<'a, T: PartialEq>(mut before: &'a [T], mut after: &'a [T]) -> (&'a [T], &'a [T]) {
    while let (Some((first, rest)), Some((other, others))) = (before.split_first(), after.split_first())
        && first == other
    {
        (before, after) = (rest, others);
    }
    while let (Some((last, rest)), Some((other, others))) = (before.split_last(), after.split_last())
        && last == other
    {
        (before, after) = (rest, others);
    }
    (before, after)
}

/// Policy, place and interface.
fn whereabouts(one: &Attached) -> (&str, &str, Option<&str>) {
    (&one.policy, &one.place, one.interface.as_deref())
}

fn tell_one(one: &Attached) {
    let place = one.interface.as_ref().unwrap_or(&one.place);
    let id = one.program.map(|id| id.to_string()).unwrap_or_default();
    let why = one.why.clone().unwrap_or_default();
    match one.state {
        State::Ok => log(Level::Info, "in force", &[("policy", &one.policy), ("place", place), ("program", &id)]),
        State::Waiting => {
            log(Level::Info, "waits for its target", &[("policy", &one.policy), ("place", place), ("why", &why)]);
        }
        State::Failed => {
            log(Level::Warning, "failed", &[("policy", &one.policy), ("place", place), ("why", &why)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lists_have_in_common_is_left_out() {
        for (before, after, expected) in [
            ("", "", ("", "")),
            ("abc", "abc", ("", "")),
            ("abc", "axc", ("b", "x")),
            ("abc", "abbc", ("", "b")),
            ("abc", "", ("abc", "")),
            ("", "abc", ("", "abc")),
            ("aa", "a", ("a", "")),
        ] {
            let (was, is) = differing(before.as_bytes(), after.as_bytes());
            assert_eq!((was, is), (expected.0.as_bytes(), expected.1.as_bytes()), "{before} {after}");
        }
    }
}
