//! The library's own balancer, limiter and breaker, driven on a virtual clock by a thousand simulated
//! instances and ten million clients. See `docs/simulation.md`.
//!
//! Nothing of the library is modelled. What is: the engines ([`engine`]), and who asks ([`world`]).

pub mod engine;
pub mod failure;
pub mod fairness;
pub mod memory;
pub mod plot;
pub mod report;
pub mod selection;
pub mod shares;
pub mod stats;
pub mod strategy;
pub mod world;

use std::io;
use std::time::Duration;

use report::Report;

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// What it costs to choose.
    pub selection: selection::Size,
    /// What clients take.
    pub memory: memory::Size,
    /// How evenly instances are used.
    pub fairness: fairness::Size,
    /// What greedy clients leave.
    pub shares: shares::Size,
    /// What happens when instances fail.
    pub failure: failure::Size,
}

/// What there is to be simulated, by name.
pub const EXPERIMENTS: [&str; 5] = ["selection", "memory", "fairness", "shares", "failure"];

impl Size {
    /// A thousand instances and ten million clients: minutes in a release build.
    pub const fn full(seed: u64) -> Self {
        let seconds = Duration::from_secs;
        Self {
            selection: selection::Size {
                counts: &[1, 10, 100, 1000, 10_000],
                most_limited: 1000,
                round: Duration::from_millis(1),
            },
            memory: memory::Size {
                clients: &[1000, 10_000, 100_000, 1_000_000, 10_000_000],
                each: 2,
                seed,
            },
            fairness: fairness::Size { instances: 1000, time: seconds(60), seed },
            shares: shares::Size { instances: 100, clients: 10_000, time: seconds(60), seed },
            failure: failure::Size { instances: 1000, share: 0.6, time: seconds(110), seed },
        }
    }

    /// As little as shows the same: seconds in a debug build.
    pub const fn quick(seed: u64) -> Self {
        let seconds = Duration::from_secs;
        Self {
            selection: selection::Size {
                counts: &[1, 100],
                most_limited: 100,
                round: Duration::from_micros(20),
            },
            memory: memory::Size { clients: &[1000, 10_000], each: 2, seed },
            fairness: fairness::Size { instances: 30, time: seconds(10), seed },
            shares: shares::Size { instances: 3, clients: 300, time: seconds(20), seed },
            failure: failure::Size { instances: 20, share: 0.5, time: seconds(100), seed },
        }
    }
}

/// Runs the experiments of these names.
pub fn run(size: Size, names: &[&str], report: &mut Report<'_>) -> io::Result<()> {
    for name in names {
        let started = selection::now();
        match *name {
            "selection" => selection::run(size.selection, report)?,
            "memory" => memory::run(size.memory, report)?,
            "fairness" => fairness::run(size.fairness, report)?,
            "shares" => shares::run(size.shares, report)?,
            "failure" => failure::run(size.failure, report)?,
            other => return Err(io::Error::other(format!("there is no experiment '{other}'"))),
        }
        report.say(format!("\n{name} took {:.1} s", started.elapsed().as_secs_f64()))?;
    }
    Ok(())
}
