//! The programs that are measured, in the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use xdpilot_core::diagnose::Facts;
use xdpilot_core::emit::{self, Options};
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::program::{self, ProgramInfo};

use crate::direction::Direction;
use crate::policy::{self, Compiled, Policy, Text, fill};
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::{self, Input};

/// A program in the kernel that is to be measured.
#[derive(Debug)]
pub(super) struct Subject {
    /// What the user calls it.
    pub(super) source: String,
    /// The program's name.
    pub(super) name: String,
    /// What was changed on the way, a sentence each.
    pub(super) notes: Vec<String>,
    held: Held,
}

/// What keeps it in the kernel.
#[derive(Debug)]
enum Held {
    Loaded(Box<Program>),
    Opened(OwnedFd),
}

impl Subject {
    /// A descriptor of the program.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match &self.held {
            Held::Loaded(program) => program.loaded.entry(),
            Held::Opened(fd) => fd.as_fd(),
        }
    }
}

/// Loads what the user named: an object or C file as it is, a policy as [`of_policy`] does; or opens `id:N`.
///
/// # Errors
/// There is no such source, or the kernel refuses it.
pub(super) fn load(source: &Path, program: Option<&str>) -> Result<Vec<Subject>> {
    let name = source.display().to_string();
    if let Some(id) = name.strip_prefix("id:") {
        return Ok(vec![open(&name, id)?]);
    }
    if source::is_policy(source) {
        return of_policy(&Text::of_file(source)?);
    }
    let choice = Choice { program: program.map(str::to_owned), ..Choice::default() };
    Ok(vec![prepared(name, &Input::Object(source::read(source)?), &choice)?])
}

/// Loads a policy twice: as it is, and without the counters of its rules.
///
/// # Errors
/// Something is wrong with the policy, or the kernel refuses it.
pub(super) fn of_policy(text: &Text) -> Result<Vec<Subject>> {
    let policy = policy::read(text, None, Direction::Ingress)?;
    let name = if text.path.is_some() { policy.rules.file.clone() } else { text.origin() };
    let mut subjects = Vec::new();
    for (counters, name) in [(true, name.clone()), (false, format!("{name} (no counters)"))] {
        let compiled = compile(&policy, counters)?;
        let input = Input::Policy(Box::new(compiled.clone()));
        let subject = prepared(name, &input, &Choice::default())?;
        if let Held::Loaded(program) = &subject.held {
            fill::sets(&compiled, &program.loaded)?;
        }
        subjects.push(subject);
    }
    Ok(subjects)
}

fn compile(policy: &Policy, counters: bool) -> Result<Compiled> {
    let options = Options { counters, ..Options::default() };
    let object = emit::compile(&policy.rules, &options).map_err(|error| error.context(&policy.origin))?;
    Ok(Compiled { rules: policy.rules.clone(), object, direction: policy.direction, origin: policy.origin.clone() })
}

fn prepared(source: String, input: &Input, choice: &Choice) -> Result<Subject> {
    let wanted = Wanted { input, choice, bare: true, ifindex: 0, offload: false, verbose: false };
    let record = Record { source: input.origin(), ..Record::default() };
    let facts = Facts { source: Some(source.clone()), ..Facts::default() };
    let mut program = prepare::load(&wanted, &record).map_err(|failure| prepare::refusal(failure, &facts))?;
    let notes = std::mem::take(&mut program.notes);
    let name = program.loaded.info().name.clone();
    Ok(Subject { source, name, notes, held: Held::Loaded(Box::new(program)) })
}

fn open(source: &str, id: &str) -> Result<Subject> {
    let usage = |cause: &str| Error::usage(format!("measure {source}")).cause(cause).mend("xdpilot status");
    let id: u32 = id.parse().map_err(|_| usage("behind id: stands no number"))?;
    let held = program::open(id)?.ok_or_else(|| usage("there is no program of this id"))?;
    let name = ProgramInfo::of_fd(held.as_fd())?.name;
    Ok(Subject { source: source.to_owned(), name, notes: Vec::new(), held: Held::Opened(held) })
}
