//! The `xdpilot` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    xdpilot::cli::Cli::parse().run()
}
