//! `xdpilot demo`: the whole walkthrough by itself; `xdpilot demo route`: the router's.
//!
//! Two hosts in network namespaces, a web server with a cat and a DNS server on one, a client on the
//! other; programs come and go by the very commands that a user would type, and after each one the
//! traffic must be what the program makes of it. Nothing stays behind: not at the end, not on Ctrl-C,
//! not on a panic, and what a killed demo left is removed by the next.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use xdpilot_core::error::{Error, Result};

mod dns;
mod docker;
mod leftovers;
mod play;
mod probe;
mod programs;
mod route;
mod stage;
mod story;
mod tell;
mod tool;
mod web;

/// Play the whole walkthrough with hosts of its own, and remove them.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  xdpilot demo
  xdpilot demo --docker
  xdpilot demo route"
)]
pub struct Args {
    /// Serve from a Docker container instead of a network namespace
    #[arg(long)]
    docker: bool,
    /// Print one JSON object at the end instead of telling the story
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// Parts of the demo that run on their own.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Only serve: HTTP on port 80, DNS on port 53
    #[command(hide = true)]
    Serve,
    Route(route::Args),
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    /// Raised when a field changes its meaning or goes away.
    version: u32,
    /// Whether every step was as expected.
    ok: bool,
    steps: Vec<play::Played>,
}

/// Plays the demo, and removes all that it made.
///
/// Errors: a step could not be played or was not as expected, a signal stopped it, something that it
/// made cannot be removed.
pub fn run(args: &Args) -> Result<()> {
    match &args.part {
        None => judge(&staged(args.docker, args.json, |pid, stop| perform(args, pid, stop))?),
        Some(Part::Route(part)) => staged(false, part.json, |pid, stop| route::perform(part, pid, stop))?.judge(),
        Some(Part::Serve) => {
            stage::Servers::start(IpAddr::V4(Ipv4Addr::UNSPECIFIED))?.wait();
            Ok(())
        }
    }
}

/// Performs a demo, removes all that it made and what others left, and prints its report where it is asked for as JSON.
fn staged<T: Serialize>(docker: bool, json: bool, perform: impl FnOnce(u32, &AtomicBool) -> Result<T>) -> Result<T> {
    leftovers::remove_of_the_dead()?;
    if docker {
        docker::remove_of_the_dead()?;
    }
    let pid = std::process::id();
    remove_on_panic(pid, docker);
    let stop = stop_on_signals()?;
    let played = perform(pid, &stop);
    let removed = remove(pid, docker);
    let report = played?;
    if json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| play::unwritten(error.into()))?;
        writeln!(io::stdout(), "{text}").map_err(play::unwritten)?;
    }
    removed.map(|()| report)
}

/// Errors: a step was not as expected.
fn judge(report: &Report) -> Result<()> {
    match report.steps.iter().filter(|step| !step.met).count() {
        0 => Ok(()),
        count => Err(Error::failed(format!("demo: {count} of {} steps not as expected", report.steps.len()))),
    }
}

/// Sets the stage, plays the story and strikes the stage.
fn perform(args: &Args, pid: u32, stop: &AtomicBool) -> Result<Report> {
    let stage = if args.docker { docker::in_container(pid)? } else { stage::in_namespaces(pid)? };
    let directory = leftovers::directory(pid);
    let steps = if args.json {
        play::play(&stage, &directory, &mut tell::silent(), stop)?
    } else {
        let mut teller = tell::stdout();
        let place = if args.docker { "in a container" } else { "in a network of their own" };
        teller.opening(&format!("A cat's web server and a DNS server, {place}.")).map_err(play::unwritten)?;
        play::play(&stage, &directory, &mut teller, stop)?
    };
    Ok(Report { version: 1, ok: steps.iter().all(|step| step.met), steps })
}

/// Removes all that this demo made; what fails does not keep the rest.
fn remove(pid: u32, docker: bool) -> Result<()> {
    let container = if docker { docker::remove(pid) } else { Ok(()) };
    leftovers::remove(pid).and(container)
}

/// Ctrl-C, a polite kill and a closed terminal raise the flag; they do not end the process.
fn stop_on_signals() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Error::failed(format!("catch signal {signal}")).kernel(error.to_string()))?;
    }
    Ok(stop)
}

/// A hook, not a destructor: release builds abort on panic.
fn remove_on_panic(pid: u32, docker: bool) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        // The panic itself is the message to read.
        let _ = remove(pid, docker);
    }));
}
