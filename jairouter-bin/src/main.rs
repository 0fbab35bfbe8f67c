//! The program `jairouter`.

use std::process::ExitCode;

use clap::Parser;
use jairouter_bin::{app, cli::Cli};

fn main() -> ExitCode {
    app::run(&Cli::parse())
}
