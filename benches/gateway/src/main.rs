//! What a request costs a gateway, and what it costs others: see `docs/performance.md`.
//!
//! This process is the callers and the engines, on one core; the gateways run on another, one at a time, in turn.

mod answer;
mod ask;
mod engine;
mod gateways;
mod hyper_proxy;
mod leave;
mod phases;
mod process;
mod report;
mod run;
mod statistics;
mod streams;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What goes wrong, in words.
type Failure = Box<dyn Error>;

/// Measures gateways against each other.
#[derive(Debug, Parser)]
#[command(name = "jairouter-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs every phase with every gateway, in interleaved rounds, and prints the table.
    Run(Run),
    /// The peer: a proxy of a hundred lines on hyper, which looks at nothing.
    Hyper {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// Whom it passes requests to, in turn.
        #[arg(long, required = true)]
        to: Vec<SocketAddr>,
    },
}

/// What is run, and how long.
#[derive(Debug, clap::Args)]
struct Run {
    /// The program, built for release.
    #[arg(long)]
    jairouter: PathBuf,
    /// nginx, if it is to be measured.
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// How often each gateway runs each phase.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long a phase takes, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    phase: u64,
    /// How many streams are open at most, in the phase that measures memory.
    #[arg(long, default_value_t = 10_000)]
    streams: usize,
    /// The phases to run; all of them if none is named.
    #[arg(long)]
    only: Vec<String>,
    /// The gateways to run; all of them if none is named.
    #[arg(long)]
    gateways: Vec<String>,
    /// What of the gateway is switched off, to see what it costs: `log`, `keys`, `limits`, `tokens`.
    #[arg(long)]
    without: Vec<String>,
    /// Where every figure of every round is written, as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(run) => run::run(&run),
        Command::Hyper { listen, to } => hyper_proxy::run(listen, to),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            process::tell(&format!("{failure}\n"));
            ExitCode::FAILURE
        }
    }
}
