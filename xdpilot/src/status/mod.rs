//! `xdpilot status`: what is attached where, by whom, and what it does.

mod policy;
mod sample;
mod screen;
mod snapshot;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::Args as ClapArgs;
use xdpilot_core::error::{Error, Result};
use xdpilot_kernel::stats::Stats;
use xdpilot_kernel::terminal;

use crate::frames::{self, seconds};
use crate::pause::Pause;
use crate::place::{self, Traffic};
use crate::table::Style;
use crate::target::Target;

pub(crate) use policy::rates as rule_rates;
pub(crate) use sample::rates as verdict_rates;
pub use sample::{Key, Look, sample};
pub use screen::draw;
pub use snapshot::{Component, CounterStatus, Hits, Holder, InterfaceStatus, Owner, PolicyStatus, ProgramStatus};
pub use snapshot::{PoolStatus, RuleStatus, Runs, SetStatus, Snapshot, VerdictCount};

/// Show the programs on the interfaces of the host and of all containers, and what the rules of policies met.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot status
  xdpilot status --on docker:web --watch
  xdpilot status --stats --json")]
pub struct Args {
    /// Only there, also where no program is: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all
    #[arg(long = "on", value_name = "TARGET")]
    targets: Vec<Target>,
    /// The interface of a container, or the other end of its veth pair
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// Let the kernel count runs and their time while this looks: for one second without --watch
    #[arg(long)]
    stats: bool,
    /// Look again every so many seconds, and show rates
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "1", value_parser = seconds)]
    watch: Option<Duration>,
    /// Print JSON, with --watch one document a line
    #[arg(long)]
    json: bool,
}

/// How long `--stats` looks where nobody watches.
const LOOK: Duration = Duration::from_secs(1);

/// Runs the verb.
///
/// # Errors
/// There is no such place, or nothing can be read.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let stats = args.stats.then(Stats::enable);
    if let Some(Err(error)) = &stats {
        eprintln!("note: no run counts: {}", error.kernel_words().unwrap_or(error.what()));
    }
    let runs = matches!(stats, Some(Ok(_)));
    let first = look(args, None, false)?;
    tell_hidden(&first);
    let pause = Pause::new()?;
    if let Some(every) = args.watch {
        let in_place = !args.json && std::io::stdout().is_terminal();
        let text = |snapshot: &Snapshot| text(args, snapshot, in_place);
        return frames::watch(first, (every, &pause), (out, in_place), text, |before| look(args, Some(before), runs));
    }
    if !runs {
        return print(args, &first, out);
    }
    eprintln!("note: counting runs for {} second", LOOK.as_secs());
    if pause.interrupted(LOOK)? {
        return Ok(());
    }
    print(args, &look(args, Some(&first), true)?, out)
}

/// One sample of the wanted places.
fn look(args: &Args, before: Option<&Snapshot>, runs: bool) -> Result<Snapshot> {
    let mut keys: Vec<Key> = Vec::new();
    for target in &args.targets {
        let places = place::resolve(target, args.traffic)?;
        keys.extend(places.iter().map(|place| (place.namespace.inode(), place.interface.index)));
    }
    let wanted = (!args.targets.is_empty()).then_some(&keys[..]);
    sample(Look { wanted, before, runs })
}

/// The snapshot as it is printed, on a terminal under the time it was taken.
fn text(args: &Args, snapshot: &Snapshot, timed: bool) -> Result<String> {
    if args.json {
        let json = if args.watch.is_some() { serde_json::to_string } else { serde_json::to_string_pretty };
        return json(snapshot)
            .map(|text| text + "\n")
            .map_err(|error| Error::failed("print the status as JSON").cause(error.to_string()));
    }
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let style = Style { width: terminal::width(), bold: colour && std::io::stdout().is_terminal() };
    let table = draw(snapshot, style);
    let head = if timed { format!("{}   (Ctrl-C ends)\n\n", crate::when::local(snapshot.time)) } else { String::new() };
    Ok(if args.watch.is_some() { head + &table + "\n" } else { table })
}

fn print(args: &Args, snapshot: &Snapshot, out: &mut impl Write) -> Result<()> {
    out.write_all(text(args, snapshot, false)?.as_bytes())
        .map_err(|error| Error::failed("print the status").kernel(error.to_string()))
}

fn tell_hidden(snapshot: &Snapshot) {
    if !snapshot.hidden.is_empty() {
        eprintln!("note: hidden from this user: {}", snapshot.hidden.join("; "));
    }
}
