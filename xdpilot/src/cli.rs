//! The command line: one verb, one match.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xdpilot_core::error::Result;

use crate::stored::{apply, delete, diff, edit, export, get, history, rollback, rollout, wait};
use crate::{
    agent, bench, check, compile, demo, doctor, explain, fmt, import, inspect, ip, load, pool, set, status, test,
    unload,
};

/// Put XDP programs on interfaces and containers, see what they do, take them off again.
#[derive(Debug, Parser)]
#[command(name = "xdpilot", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Load(load::Args),
    Unload(unload::Args),
    Status(status::Args),
    Set(set::Args),
    Pool(pool::Args),
    Compile(compile::Args),
    Inspect(inspect::Args),
    Demo(demo::Args),
    Ip(ip::Args),
    Doctor(doctor::Args),
    Bench(bench::Args),
    Check(check::Args),
    Test(test::Args),
    Explain(explain::Args),
    Fmt(fmt::Args),
    Import(import::Args),
    Apply(apply::Args),
    Get(get::Args),
    Edit(edit::Args),
    Delete(delete::Args),
    Diff(diff::Args),
    History(history::Args),
    Rollback(rollback::Args),
    Rollout(rollout::Args),
    Wait(wait::Args),
    Export(export::Args),
    Agent(agent::Args),
}

impl Cli {
    /// Runs the verb; errors go to stderr, and their kind is the exit code.
    pub fn run(self) -> ExitCode {
        let mut out = io::stdout().lock();
        let result = self.verb.run(&mut out);
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(error.kind().exit_code())
            }
        }
    }
}

impl Verb {
    fn run(self, out: &mut impl Write) -> Result<()> {
        match self {
            Verb::Load(args) => load::run(&args, out),
            Verb::Unload(args) => unload::run(&args, out),
            Verb::Status(args) => status::run(&args, out),
            Verb::Compile(args) => compile::run(&args, out),
            Verb::Set(args) => set::run(&args, out),
            Verb::Pool(args) => pool::run(&args, out),
            Verb::Inspect(args) => inspect::run(&args, out),
            Verb::Demo(args) => demo::run(&args),
            Verb::Ip(args) => ip::run(&args),
            Verb::Doctor(args) => doctor::run(&args, out),
            Verb::Bench(args) => bench::run(&args, out),
            Verb::Check(args) => check::run(&args, out),
            Verb::Test(args) => test::run(&args, out),
            Verb::Explain(args) => explain::run(&args, out),
            Verb::Fmt(args) => fmt::run(&args, out),
            Verb::Import(args) => import::run(&args, out),
            Verb::Apply(args) => apply::run(&args, out),
            Verb::Get(args) => get::run(&args, out),
            Verb::Edit(args) => edit::run(&args, out),
            Verb::Delete(args) => delete::run(&args, out),
            Verb::Diff(args) => diff::run(&args, out),
            Verb::History(args) => history::run(&args, out),
            Verb::Rollback(args) => rollback::run(&args, out),
            Verb::Rollout(args) => rollout::run(&args, out),
            Verb::Wait(args) => wait::run(&args, out),
            Verb::Export(args) => export::run(&args, out),
            Verb::Agent(args) => agent::run(&args),
        }
    }
}
