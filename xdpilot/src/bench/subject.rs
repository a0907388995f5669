//! The programs that are measured, in the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use xdpilot_core::diagnose::Facts;
use xdpilot_core::emit::Options;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::modernize::Choice;
use xdpilot_kernel::program::{self, ProgramInfo};

use crate::direction::Direction;
use crate::policy::{self, Policy, Text, fill};
use crate::pools;
use crate::prepare::{self, Program, Wanted};
use crate::record::Record;
use crate::source::{self, Input};

/// A program that is to be measured.
#[derive(Debug)]
pub(super) struct Subject {
    /// What the user calls it.
    pub(super) source: String,
    what: What,
}

/// What it is made of.
#[derive(Debug)]
enum What {
    /// Something that is loaded.
    Input(Box<Input>, Choice),
    /// A program that is in the kernel already.
    Opened(OwnedFd),
}

/// A program in the kernel.
#[derive(Debug)]
pub(super) enum Running<'a> {
    /// Loaded to be measured.
    Loaded(Box<Program>),
    /// There before.
    Opened(BorrowedFd<'a>),
}

impl Running<'_> {
    /// A descriptor of the program.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Running::Loaded(program) => program.loaded.entry(),
            Running::Opened(fd) => *fd,
        }
    }

    /// Its name in the kernel.
    pub(super) fn name(&self) -> Result<String> {
        Ok(ProgramInfo::of_fd(self.fd())?.name)
    }

    /// What was changed on the way, a sentence each.
    pub(super) fn notes(&self) -> &[String] {
        match self {
            Running::Loaded(program) => &program.notes,
            Running::Opened(_) => &[],
        }
    }
}

impl Subject {
    /// Loads it anew, unless it is one that was there.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub(super) fn load(&self) -> Result<Running<'_>> {
        let (input, choice) = match &self.what {
            What::Input(input, choice) => (input, choice),
            What::Opened(fd) => return Ok(Running::Opened(fd.as_fd())),
        };
        let wanted = Wanted { input, choice, bare: true, ifindex: 0, offload: false, verbose: false, shared: &[] };
        let record = Record { source: input.origin(), ..Record::default() };
        let facts = Facts { source: Some(self.source.clone()), ..Facts::default() };
        let program = prepare::load(&wanted, &record).map_err(|failure| prepare::refusal(failure, &facts))?;
        if let Input::Policy(policy) = &**input {
            fill::sets(policy, &program.loaded)?;
            pools::fill::as_evaluated(&policy.rules.pools, &program.loaded)?;
        }
        Ok(Running::Loaded(Box::new(program)))
    }
}

/// Reads what the user named: an object or C file as it is, a policy as [`of_policy`] does, or `id:N`.
///
/// # Errors
/// There is no such source, or something is wrong with it.
pub(super) fn read(source: &Path, program: Option<&str>) -> Result<Vec<Subject>> {
    let name = source.display().to_string();
    if let Some(id) = name.strip_prefix("id:") {
        return Ok(vec![open(&name, id)?]);
    }
    if source::is_policy(source) {
        return of_policy(&policy_of(&Text::of_file(source)?)?);
    }
    let choice = Choice { program: program.map(str::to_owned), ..Choice::default() };
    let what = What::Input(Box::new(Input::Object(source::read(source)?)), choice);
    Ok(vec![Subject { source: name, what }])
}

/// A policy from its text; its file is what messages call it.
///
/// # Errors
/// Something is wrong with the policy.
pub(super) fn policy_of(text: &Text) -> Result<Policy> {
    let mut policy = policy::read(text, None, Direction::Ingress)?;
    if text.path.is_none() {
        Arc::make_mut(&mut policy.rules).file = text.origin();
    }
    Ok(policy)
}

/// A policy is two programs: as it is, and without the counters of its rules.
///
/// # Errors
/// It needs more code than a program can hold.
pub(super) fn of_policy(policy: &Policy) -> Result<Vec<Subject>> {
    let name = &policy.rules.file;
    let variants = [(true, name.clone()), (false, format!("{name} (no counters)"))];
    let subject = |(counters, source)| {
        // As on interfaces with the usual MTU.
        let options = Options { counters, frags: false, ..Options::default() };
        let input = Input::Policy(Box::new(policy.compile_with(&options)?));
        Ok(Subject { source, what: What::Input(Box::new(input), Choice::default()) })
    };
    variants.into_iter().map(subject).collect()
}

fn open(source: &str, id: &str) -> Result<Subject> {
    let usage = |cause: &str| Error::usage(format!("measure {source}")).cause(cause).mend("xdpilot status");
    let id: u32 = id.parse().map_err(|_| usage("behind id: stands no number"))?;
    let held = program::open(id)?.ok_or_else(|| usage("there is no program of this id"))?;
    Ok(Subject { source: source.to_owned(), what: What::Opened(held) })
}
