//! The rounds: every gateway runs every phase, then all of them again.

use std::fs;
use std::time::Duration;

use tokio::runtime;
use tokio::task::{self, LocalSet};

use crate::engine::{self, Seen};
use crate::gateways::{Gateway, Running};
use crate::phases::{self, Phase};
use crate::report::Report;
use crate::{Failure, Run, process};

/// The phase that no load is in.
const MEMORY: &str = "memory";

/// Files of a gateway that are no stream's.
const OTHER_FILES: usize = 150;

pub(crate) fn run(run: &Run) -> Result<(), Failure> {
    process::pin_this()?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let report = LocalSet::new().block_on(&runtime, rounds(run))?;
    process::tell(&report.text());
    if let Some(path) = &run.json {
        fs::write(path, report.json())?;
    }
    Ok(())
}

async fn rounds(run: &Run) -> Result<Report, Failure> {
    // Our core never sleeps: to wake it would be charged to whoever sends, and most to those who leave it time to.
    let awake = tokio::spawn(async {
        loop {
            task::yield_now().await;
        }
    });
    let report = interleaved(run).await;
    awake.abort();
    report
}

async fn interleaved(run: &Run) -> Result<Report, Failure> {
    let seen = Seen::default();
    let engines = engine::start(&seen).await?;
    let is_chosen = |name: &str, chosen: &[String]| {
        chosen.is_empty() || chosen.iter().any(|chosen| name.contains(chosen.as_str()))
    };
    let gateways = Gateway::ALL.into_iter().filter(|gateway| {
        is_chosen(gateway.name(), &run.gateways)
            && (*gateway != Gateway::Nginx || run.nginx.is_some())
    });
    let gateways: Vec<Gateway> = gateways.collect();
    // Two for each stream, at the gateway and at us.
    let most = run.streams.min((process::most_files().saturating_sub(OTHER_FILES)) / 2);
    let mut report = Report::default();
    for round in 0..run.rounds {
        // None is always the one behind another.
        let first = round % gateways.len().max(1);
        for gateway in gateways[first..].iter().chain(&gateways[..first]) {
            process::tell(&format!("round {} of {}: {}\n", round + 1, run.rounds, gateway.name()));
            for phase in Phase::ALL {
                if is_chosen(phase.name(), &run.only) {
                    let running = Running::start(*gateway, run, &engines).await?;
                    let length = Duration::from_millis(run.phase);
                    let figures = phases::run(phase, &running, length, &seen).await?;
                    report.add(phase.name(), *gateway, round, figures);
                }
            }
            if *gateway != Gateway::None && is_chosen(MEMORY, &run.only) {
                let running = Running::start(*gateway, run, &engines).await?;
                let figures = phases::memory(&running, most).await?;
                report.add(MEMORY, *gateway, round, figures);
            }
        }
    }
    Ok(report)
}
