//! Health checks: backends that do not answer get no packets until they do.

mod carrier;
mod check;
pub mod panel;
mod pump;
mod shared;
mod streak;
mod way;

use std::collections::HashMap;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use xdpilot_core::error::{Error, Result};
use xdpilot_core::policy::{Check, Method};
use xdpilot_core::route::{Member, flags};
use xdpilot_core::rules::Rules;

use super::live::Live;
use crate::place::Place;
use crate::state;
use panel::Panel;
use shared::Shared;
use streak::Streak;
use way::{Way, Ways};

/// What checks find out, of any number of policies. At its end when the [`Checker`] is gone with all its checks.
#[derive(Debug)]
pub struct Findings(PipeReader);

/// Begins checks.
#[derive(Debug)]
pub struct Checker {
    tell: PipeWriter,
    /// With whom shared checks are shared.
    panel: Option<Arc<Panel>>,
}

/// Checks at work, until this is dropped.
#[derive(Debug)]
pub struct Health {
    /// Dropping it ends the threads.
    stop: Vec<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// What the user should know.
    notes: Vec<String>,
}

/// A pool that is checked, at one place.
struct Checked {
    place: Place,
    pool: u16,
    name: String,
    method: Method,
    check: Check,
    way: Way,
    streaks: HashMap<String, Streak>,
    tell: PipeWriter,
    /// What other nodes find out, where they share it.
    shared: Option<Shared>,
}

/// Where checks are begun, and what they find out is told. Those that are shared are so with a panel; without one this
/// node makes all of them.
///
/// # Errors
/// The kernel gives no pipe.
pub fn checker(panel: Option<Arc<Panel>>) -> Result<(Checker, Findings)> {
    let (told, tell) = pipe().map_err(|error| failed(&error))?;
    Ok((Checker { tell, panel }, Findings(told)))
}

impl Findings {
    /// What was found out since it was asked last, a line each; waits where there is nothing, and is empty at the end.
    ///
    /// # Errors
    /// The pipe cannot be read.
    pub fn take(&mut self) -> Result<Vec<String>> {
        let mut bytes = vec![0; 65_536];
        let count = self.0.read(&mut bytes).map_err(|error| Error::failed("read a pipe").kernel(error.to_string()))?;
        let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()).into_owned();
        Ok(text.lines().map(ToString::to_string).collect())
    }
}

impl Checker {
    /// Begins to check the pools of a policy that is loaded at these places.
    ///
    /// # Errors
    /// The kernel gives no descriptor.
    pub fn check(&self, rules: &Arc<Rules>, places: &[Place]) -> Result<Health> {
        let (mut stop, mut threads, mut notes) = (Vec::new(), Vec::new(), Vec::new());
        for place in places {
            let mut ways = Ways::new(rules, place);
            for (pool, index) in rules.pools.iter().zip(0u16..) {
                let Some(check) = pool.check.clone() else { continue };
                let tell = self.tell.try_clone().map_err(|error| failed(&error))?;
                let (name, streaks) = (pool.name.clone(), HashMap::new());
                let (place, way, method) = (place.try_clone()?, ways.of(index, &check), pool.method.clone());
                let panel = self.panel.as_ref().filter(|_| check.shared);
                let shared = panel.map(|panel| Shared::new(panel, &format!("{}/{name} {check}", rules.name)));
                let checked = Checked { place, pool: index, name, method, check, way, streaks, tell, shared };
                let (go_on, end) = mpsc::channel();
                stop.push(go_on);
                threads.push(thread::spawn(move || checked.run(&end)));
            }
            notes.append(&mut ways.notes);
        }
        Ok(Health { stop, threads, notes })
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::failed("begin the health checks").kernel(error.to_string())
}

impl AsFd for Findings {
    /// Readable when there is something to [`Findings::take`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Health {
    /// What the user should know of how backends are checked, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Drop for Health {
    fn drop(&mut self) {
        self.stop.clear();
        for thread in self.threads.drain(..) {
            _ = thread.join();
        }
    }
}

impl Checked {
    fn run(mut self, end: &mpsc::Receiver<()>) {
        let every = Duration::from_millis(self.check.every.into());
        loop {
            let begin = Instant::now();
            // A policy that is being replaced is there again at the next turn.
            if let Ok(live) = Live::at(&self.place) {
                self.turn(&live);
            }
            if end.recv_timeout(every.saturating_sub(begin.elapsed())) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Checks all backends once, at the same time; of those whose checks are shared what others find out counts too.
    fn turn(&mut self, live: &Live) {
        let members = live.members(self.pool);
        self.streaks.retain(|name, _| members.iter().any(|(_, member)| member.name == *name));
        if let Some(shared) = &mut self.shared {
            shared.keep(|name| members.iter().any(|(_, member)| member.name == name));
        }
        let own: Vec<&(usize, Member)> = members.iter().filter(|(_, member)| self.is_own(&member.name)).collect();
        for ((number, member), result) in own.iter().zip(self.ask(&own)) {
            let streak = self.streaks.entry(member.name.clone()).or_default();
            let is_up = member.backend.flags & flags::UP != 0;
            let was = self.shared.as_ref().map_or(is_up, |shared| shared.own(&member.name).unwrap_or(is_up));
            let turned = streak.next(was, result.is_ok(), self.check.rise, self.check.fall);
            match (&mut self.shared, turned) {
                (Some(shared), _) => shared.found(&member.name, turned.unwrap_or(was), result.err()),
                (None, Some(up)) => self.change(live, *number, &member.name, up, result.err().as_deref()),
                (None, None) => {}
            }
        }
        for (number, member) in &members {
            let is_up = member.backend.flags & flags::UP != 0;
            let verdict = self.shared.as_ref().and_then(|shared| shared.verdict(&member.name));
            if let Some((up, why)) = verdict.filter(|(up, _)| *up != is_up) {
                self.change(live, *number, &member.name, up, (!up).then_some(&why));
            }
        }
    }

    /// Whether this node checks a backend.
    fn is_own(&mut self, name: &str) -> bool {
        let is_own = self.shared.as_mut().is_none_or(|shared| shared.checks(name));
        if !is_own {
            self.streaks.remove(name);
        }
        is_own
    }

    /// Asks these backends, all at the same time.
    fn ask(&self, members: &[&(usize, Member)]) -> Vec<std::result::Result<(), String>> {
        let Checked { check, place, way, pool, method, .. } = self;
        thread::scope(|scope| {
            let one = |(_, member): &&(usize, Member)| {
                let (backend, port) = (member.backend, check.port.or(member.backend.port).unwrap_or(0));
                scope.spawn(move || check::once(check, place, &way.to(*pool, &backend, method), port))
            };
            let threads: Vec<_> = members.iter().map(one).collect();
            let died = || Err("the check ended early".to_string());
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| died())).collect()
        })
    }

    fn change(&mut self, live: &Live, number: usize, name: &str, up: bool, why: Option<&str>) {
        let _lock = state::lock_pools();
        // It may have gone, or become another one, since it was looked at.
        let Some((_, mut member)) = live.find(self.pool, name).filter(|(now, _)| *now == number) else { return };
        member.backend.flags = if up { member.backend.flags | flags::UP } else { member.backend.flags & !flags::UP };
        live.write(number, &member);
        live.turn(self.pool, &live.state());
        let what = match why {
            Some(why) => format!("is out: {}", why.replace('\n', " ")),
            None => "is well".to_string(),
        };
        // In one piece, so that it is read in one.
        let line = format!("{}: {name} of {} {what}\n", self.place.label, self.name);
        _ = self.tell.write_all(line.as_bytes());
    }
}
