//! Plays the acts on a stage: changes the pool while the visitors visit, and compares who answered with who must.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use xdpilot_core::error::{Error, Result};

use super::super::play::{stopped, stopped_or, unwritten};
use super::super::tell::Teller;
use super::super::tool;
use super::acts::{ACTS, Act, Change, FILE, POLICY};
use super::chart::{self, Rates};
use super::count::Count;
use super::keeper::Keeper;
use super::stage::{self, CATS, Stage};
use super::visitors::Visitors;

/// So many requests tell shares from each other.
const ENOUGH: u32 = 500;
/// An act lasts so long after its change where somebody watches.
const TO_WATCH: Duration = Duration::from_secs(3);
/// How often it is looked, and the bars are drawn.
const FRAME: Duration = Duration::from_millis(100);
/// How long what is expected may take to come true.
const PATIENCE: Duration = Duration::from_secs(15);

/// An act that was played.
#[derive(Serialize)]
pub(super) struct Played {
    pub(super) title: &'static str,
    pub(super) commands: Vec<String>,
    #[serde(flatten, serialize_with = "counted")]
    pub(super) count: Count,
    /// Whether requests may be lost in it.
    pub(super) may_lose: bool,
    /// Whether everything was as expected.
    pub(super) met: bool,
    /// Why a request was lost, the last one until then.
    #[serde(skip)]
    pub(super) last_loss: Option<String>,
}

fn counted<S: Serializer>(count: &Count, to: S) -> std::result::Result<S::Ok, S::Error> {
    let answered: serde_json::Map<_, _> =
        CATS.iter().zip(count.answered).map(|(name, its)| ((*name).to_owned(), its.into())).collect();
    let mut map = to.serialize_map(Some(3))?;
    map.serialize_entry("requests", &count.requests())?;
    map.serialize_entry("answered", &answered)?;
    map.serialize_entry("lost", &count.lost)?;
    map.end()
}

/// Plays all acts. `stop` ends it early, as an error.
///
/// Errors: a command fails, the policy or the output cannot be written, it was stopped.
pub(super) fn play<W: Write>(
    stage: Stage,
    directory: &Path,
    teller: &mut Teller<W>,
    stop: &AtomicBool,
) -> Result<Vec<Played>> {
    fs::create_dir(directory).and_then(|()| fs::write(directory.join(FILE), POLICY)).map_err(|error| {
        Error::failed(format!("write the policy to {}", directory.display())).kernel(error.to_string())
    })?;
    let mut play = Play { visiting: None, stage, directory, teller, stop, rates: Rates::default() };
    let mut acts = Vec::new();
    for (act, number) in ACTS.iter().zip(1..) {
        acts.push(play.act(number, act).map_err(|error| stopped_or(error, stop))?);
    }
    if let Some(Visiting { visitors, keeper }) = play.visiting.take() {
        drop(visitors);
        play.teller.end("").and_then(|()| play.teller.output(&keeper.end())).map_err(unwritten)?;
    }
    Ok(acts)
}

/// A play that goes on.
struct Play<'a, W> {
    /// From the first act's change on. Before the stage, since it ends first.
    visiting: Option<Visiting>,
    stage: Stage,
    directory: &'a Path,
    teller: &'a mut Teller<W>,
    stop: &'a AtomicBool,
    rates: Rates,
}

/// The client, and the policy that it needs. The client ends first.
struct Visiting {
    visitors: Visitors,
    keeper: Keeper,
}

impl<W: Write> Play<'_, W> {
    fn act(&mut self, number: usize, act: &Act) -> Result<Played> {
        self.teller.step(number, act.title).map_err(unwritten)?;
        self.begin_period();
        let commands = self.change(act.change)?;
        self.begin_period();
        let fits = self.watch(act.shares)?;
        let (count, after) = (self.last(2), self.last(1));
        let lost = if act.may_lose() { after.lost } else { count.lost };
        let (may_lose, met) = (act.may_lose(), fits && lost == 0);
        self.teller.result(&chart::line(&count), met).map_err(unwritten)?;
        let last_loss = self.visiting.as_ref().and_then(|visiting| visiting.visitors.last_loss());
        Ok(Played { title: act.title, commands, count, may_lose, met, last_loss })
    }

    /// Makes the act's change and waits until it is in force; the commands as they are typed.
    fn change(&mut self, change: Change) -> Result<Vec<String>> {
        match change {
            Change::Load => self.load(),
            Change::Pool(words) => {
                // Others may have a pool of this name.
                let words = [&["pool"], words, &["--on", &self.stage.target]].concat();
                let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
                self.teller.command(&words).map_err(unwritten)?;
                let said = tool::run(&words, self.directory)?;
                self.teller.output(&said).map_err(unwritten)?;
                Ok(vec![typed(&words)])
            }
            Change::Kill(cat) => {
                self.stage.kill(cat);
                self.await_said(&format!("{} of cats is out", stage::backend(cat))).map(|()| Vec::new())
            }
            Change::Revive(cat) => {
                self.stage.revive(cat)?;
                self.await_said(&format!("{} of cats is well", stage::backend(cat))).map(|()| Vec::new())
            }
        }
    }

    /// Loads the policy, and lets the visitors in.
    fn load(&mut self) -> Result<Vec<String>> {
        let words = ["load", FILE, "--on", &self.stage.target, "--keep"].map(str::to_owned);
        self.teller.output(POLICY).and_then(|()| self.teller.command(&words)).map_err(unwritten)?;
        let mut keeper = Keeper::start(&words, self.directory)?;
        let deadline = Instant::now() + PATIENCE;
        let said = loop {
            match keeper.says_within(FRAME)? {
                Some(line) => break line,
                None => self.may_go_on(deadline)?,
            }
        };
        self.teller.output(&said).map_err(unwritten)?;
        self.visiting = Some(Visiting { visitors: Visitors::start(&self.stage.client)?, keeper });
        Ok(vec![typed(&words)])
    }

    /// Waits until the command that keeps the policy says this.
    fn await_said(&mut self, words: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = match &mut self.visiting {
                Some(visiting) => visiting.keeper.says_within(FRAME)?,
                None => None,
            };
            if let Some(line) = said.filter(|line| line.contains(words)) {
                return self.teller.output(&line).map_err(unwritten);
            }
            self.draw()?;
            self.may_go_on(deadline)?;
        }
    }

    /// Watches until enough was seen: whether the cats answered in these proportions.
    fn watch(&mut self, shares: [u32; CATS.len()]) -> Result<bool> {
        let begin = Instant::now();
        let at_least = if self.teller.is_live() { TO_WATCH } else { Duration::ZERO };
        while self.last(1).all_answered() < ENOUGH || begin.elapsed() < at_least {
            std::thread::sleep(FRAME);
            self.draw()?;
            self.may_go_on(begin + PATIENCE)?;
        }
        Ok(self.last(1).fits(shares))
    }

    fn draw(&mut self) -> Result<()> {
        let Some(Visiting { visitors, .. }) = &self.visiting else { return Ok(()) };
        let bars = self.rates.bars(Instant::now(), visitors.total(), visitors.last(2).lost);
        self.teller.draw(&bars).map_err(unwritten)
    }

    /// Errors: a signal came, or the time is over.
    fn may_go_on(&self, deadline: Instant) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(stopped());
        }
        if Instant::now() > deadline {
            return Err(
                Error::failed("demo route: what is expected does not come true").cause(chart::line(&self.last(2)))
            );
        }
        Ok(())
    }

    fn begin_period(&self) {
        self.visiting.iter().for_each(|visiting| visiting.visitors.begin_period());
    }

    fn last(&self, periods: usize) -> Count {
        self.visiting.as_ref().map(|visiting| visiting.visitors.last(periods)).unwrap_or_default()
    }
}

/// A command as it is typed.
fn typed(words: &[String]) -> String {
    format!("xdpilot {}", words.join(" "))
}
