//! `xdpilot doctor`: what kernel, machine and interfaces lack for XDP, and the command that mends it.

mod finding;
mod interface;
mod kernel;
mod machine;
mod subject;
#[cfg(test)]
mod tests;

use std::io::Write;

use clap::Args as ClapArgs;
use serde::Serialize;
use xdpilot_core::error::{Error, Result};

use crate::place::{self, Place, Traffic};
use crate::target::Target;
pub use finding::{Finding, Level};
use subject::Subject;

/// Tell what this kernel, machine and interfaces lack for XDP, and the command that mends it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  xdpilot doctor
  xdpilot doctor --on docker:web --on eth0")]
pub struct Args {
    /// Interfaces to look at: eth0, docker:NAME, podman:NAME, netns:NAME/IFACE, pid:N[/IFACE], all
    #[arg(long = "on", value_name = "TARGET")]
    targets: Vec<Target>,
    /// Packets going to a container, or coming from it
    #[arg(long, value_enum, default_value_t)]
    traffic: Traffic,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// The findings about one thing.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// `kernel`, `machine`, or the target with its interface.
    pub about: String,
    /// The findings.
    pub findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    sections: &'a [Section],
}

/// Runs the verb.
///
/// # Errors
/// There is no such target, or something fails that XDP needs.
pub fn run(args: &Args, out: &mut impl Write) -> Result<()> {
    let mut places = Vec::new();
    for target in &args.targets {
        places.extend(place::resolve(target, args.traffic)?);
    }
    let sections = examine(&places)?;
    print(args.json, &sections, out).map_err(|error| Error::failed("print the result").kernel(error.to_string()))?;
    let failed: Vec<&str> = sections
        .iter()
        .filter(|section| section.findings.iter().any(|finding| finding.level == Level::Fail))
        .map(|section| section.about.as_str())
        .collect();
    if failed.is_empty() { Ok(()) } else { Err(Error::failed(format!("XDP does not work on: {}", failed.join(", ")))) }
}

/// Examines kernel, machine and these places; changes nothing.
///
/// # Errors
/// A place has gone.
pub fn examine(places: &[Place]) -> Result<Vec<Section>> {
    let asked = |about: &str, probes: &[fn() -> Finding]| Section {
        about: about.to_string(),
        findings: probes.iter().map(|probe| probe()).collect(),
    };
    let mut sections = vec![asked("kernel", kernel::PROBES), asked("machine", machine::PROBES)];
    for place in places {
        let subject = Subject::of(place)?;
        sections.push(Section { about: place.label.clone(), findings: judge(&subject) });
    }
    Ok(sections)
}

fn judge(subject: &Subject) -> Vec<Finding> {
    interface::PROBES.iter().filter_map(|probe| probe(subject)).collect()
}

fn print(json: bool, sections: &[Section], out: &mut impl Write) -> std::io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, &Document { version: 1, sections })?;
        return writeln!(out);
    }
    for section in sections {
        writeln!(out, "{}", section.about)?;
        for Finding { level, text, mend } in &section.findings {
            writeln!(out, "  {:4}  {text}", level.word())?;
            if let Some(mend) = mend {
                writeln!(out, "        mend: {mend}")?;
            }
        }
    }
    Ok(())
}
