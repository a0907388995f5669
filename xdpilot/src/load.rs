//! `xdpilot load`: puts a program on interfaces and containers.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::mode::Mode;

use crate::attach::Wish;
use crate::direction::Direction;
use crate::keep::{self, Kept};
use crate::place::{self, Place, Traffic};
use crate::policy::{self, Policy, Text};
use crate::put::{self, Order, Outcome};
use crate::source::{self, Input};
use crate::target::Target;

/// Put a program on interfaces and containers.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot load -e 'drop when udp and not src port 53' --on docker:web
  xdpilot load edge.xdp --on eth0 --keep
  xdpilot load edge.xdp --on eth0 --direction egress
  xdpilot load dropper.c --on docker:web
  xdpilot load xdp_prog.o --on eth0 --program xdp_filter --mode native
  xdpilot load filter.o --on netns:blue/veth0 --on eth1 --replace")]
pub struct Args {
    /// A policy (edge.xdp), an ELF object (prog.o) or a C file (prog.c), which is compiled with clang
    #[arg(required_unless_present = "expression", conflicts_with = "expression")]
    source: Option<PathBuf>,
    /// A policy in words: 'drop when udp'; rules are separated by ; or lines
    #[arg(long = "expression", short = 'e', value_name = "POLICY")]
    expression: Option<String>,
    /// The policy of that name, where the file has several
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Where: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all; may be given several times.
    /// A policy that says `on TARGET` itself needs none
    #[arg(long = "on", value_name = "TARGET")]
    targets: Vec<Target>,
    /// The program's function, where the object has several
    #[arg(long, value_name = "NAME")]
    program: Option<String>,
    /// The ELF section of the program
    #[arg(long, value_name = "SECTION")]
    section: Option<String>,
    /// How the program runs; auto tries native and falls back to generic
    #[arg(long, value_enum, default_value_t)]
    mode: ModeWish,
    /// Packets going to a container (the default), or coming from it
    #[arg(long, value_enum)]
    traffic: Option<Traffic>,
    /// The packets that the program sees: those that arrive, or (policies only) those that leave
    #[arg(long, value_enum, default_value_t)]
    direction: Direction,
    /// Take the place of the program that stands there, with no packet unfiltered in between
    #[arg(long)]
    replace: bool,
    /// Stay, follow changes of the policy's file and of the files of its sets, show samples, and take all off at the end
    #[arg(long, conflicts_with = "json")]
    keep: bool,
    /// Leave the program as it is: no counting of its verdicts
    #[arg(long)]
    bare: bool,
    /// Show all that libbpf and the verifier say
    #[arg(long, short)]
    verbose: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The modes as words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ModeWish {
    /// Native, or generic where native is refused
    #[default]
    Auto,
    /// In the driver, before the kernel allocates anything for the packet
    Native,
    /// In the kernel's stack, on any interface, slower
    Generic,
    /// On the network card
    Offload,
}

impl ModeWish {
    fn mode(self) -> Option<Mode> {
        match self {
            ModeWish::Auto => None,
            ModeWish::Native => Some(Mode::Native),
            ModeWish::Generic => Some(Mode::Generic),
            ModeWish::Offload => Some(Mode::Offload),
        }
    }
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    attached: &'a [Outcome],
}

/// Runs the verb.
///
/// # Errors
/// Nothing is attached then that was not before.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let order = Order {
        choice: Choice { program: args.program.clone(), section: args.section.clone(), first: false },
        wish: Wish { mode: args.mode.mode(), replace: args.replace, netlink: false, direction: args.direction },
        bare: args.bare,
        verbose: args.verbose,
        carry: false,
    };
    match text(args)? {
        Some(text) => {
            let policy = policy::read(&text, args.policy.as_deref(), args.direction)?;
            let places = places(args, Some(&policy))?;
            if !args.json {
                policy::memory::notes(&policy.rules, places.len()).iter().for_each(|note| eprintln!("note: {note}"));
            }
            if args.keep {
                let kept = Kept { text, name: args.policy.clone(), policy, places, order };
                return keep::run(kept, out, |outcomes, out| print(false, outcomes, out));
            }
            let input = Input::Policy(Box::new(policy.compile(place::may_have_frags(&places))?));
            report(args, &put::load(&input, &places, &order)?, out)
        }
        None => {
            let input = Input::Object(source::read(&object(args)?)?);
            report(args, &put::load(&input, &places(args, None)?, &order)?, out)
        }
    }
}

/// The policy's text, where the source is one.
fn text(args: &Args) -> Result<Option<Text>> {
    match (&args.expression, &args.source) {
        (Some(words), _) => Ok(Some(Text::of_words(words))),
        (None, Some(path)) if source::is_policy(path) => Text::of_file(path).map(Some),
        _ => Ok(None),
    }
}

/// The object's path; what only policies have is refused.
fn object(args: &Args) -> Result<PathBuf> {
    let path = args.source.clone().unwrap_or_default();
    let only = [
        (args.keep, "--keep"),
        (args.policy.is_some(), "--policy"),
        (args.direction == Direction::Egress, "--direction egress"),
    ];
    match only.into_iter().find(|(given, _)| *given) {
        None => Ok(path),
        Some((_, option)) => Err(Error::usage(format!("{option} with {}", path.display()))
            .cause("it is for policies (F.xdp, or -e); this is a program")),
    }
}

/// Where it goes: as the command says, else as the policy does.
fn places(args: &Args, policy: Option<&Policy>) -> Result<Vec<Place>> {
    if !args.targets.is_empty() {
        return place::resolve_all(&args.targets, args.traffic.unwrap_or_default());
    }
    let said = policy.map(|policy| policy.places.as_slice()).unwrap_or_default();
    if said.is_empty() {
        return Err(Error::usage("load it where?")
            .cause("--on TARGET is missing, and nothing else says where")
            .mend(format!("xdpilot load {} --on eth0", words(args))));
    }
    let mut places = Vec::new();
    for place in said.iter().filter(|place| place.egress == (args.direction == Direction::Egress)) {
        if !place.node.is_empty() {
            return Err(Error::usage(format!("load it on {place}"))
                .cause("nodes are chosen by agents, which follow a store")
                .mend("xdpilot apply puts it there; --on TARGET loads it here"));
        }
        places.extend(place::of_policy(place, args.traffic)?);
    }
    match places.is_empty() {
        true => Err(Error::usage("load it where?")
            .cause("the policy names places for the other direction only")
            .mend("xdpilot load … --direction egress")),
        false => Ok(place::each_once(places)),
    }
}

/// The source as it was typed.
fn words(args: &Args) -> String {
    let file = args.source.as_deref().map(Path::display).map(|path| path.to_string());
    args.expression.as_ref().map(|text| format!("-e '{text}'")).or(file).unwrap_or_default()
}

fn report(args: &Args, outcomes: &[Outcome], out: &mut impl Write) -> Result<()> {
    print(args.json, outcomes, out).map_err(|error| Error::failed("print the result").kernel(error.to_string()))
}

fn print(json: bool, outcomes: &[Outcome], out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Document { version: 1, attached: outcomes })?;
        return writeln!(out);
    }
    for outcome in outcomes {
        let Outcome { label, program, id, mode, .. } = outcome;
        let verb = if outcome.replaced.is_some() { "replaced" } else { "attached" };
        writeln!(out, "{label}: {program} (id {id}) {verb}, {mode} mode")?;
        for note in &outcome.notes {
            eprintln!("note: {note}");
        }
    }
    Ok(())
}
