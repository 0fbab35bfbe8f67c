//! How evenly each strategy uses instances, and what that is worth to callers.

use std::io;
use std::time::Duration;

use jairouter_core::circuit_breaker::Settings;

use crate::plot::{Axis, Chart};
use crate::report::{Report, Table};
use crate::stats::{Spread, quantile};
use crate::strategy::Any;
use crate::world::{Load, Plan, Told, World, capacity, in_virtual_time};

/// What the instances are like, and how much is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// All are alike, and asked seven tenths of what they can.
    Equal,
    /// They write at half, full and double speed in turn, and the balancer is not told.
    Unequal,
    /// A row of one in ten is down, and the others have next to nothing to do.
    Quiet,
}

impl Case {
    /// All of them, and what they are called.
    pub const ALL: [(Self, &str); 3] =
        [(Self::Equal, "equal"), (Self::Unequal, "unequal"), (Self::Quiet, "a row is down")];

    fn speeds(self, instances: usize) -> Vec<f64> {
        match self {
            Self::Unequal => [0.5, 1.0, 2.0].into_iter().cycle().take(instances).collect(),
            Self::Equal | Self::Quiet => vec![1.0; instances],
        }
    }

    fn share(self) -> f64 {
        if self == Self::Quiet { 0.02 } else { 0.7 }
    }
}

/// How a run went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How many requests each instance that is up was sent.
    pub requests: Vec<f64>,
    /// How many each of them had in flight, on average.
    pub in_flight: Vec<f64>,
    /// What callers saw.
    pub told: Vec<Told>,
}

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many instances there are.
    pub instances: usize,
    /// For how long requests come.
    pub time: Duration,
    /// What all chance comes from.
    pub seed: u64,
}

/// One strategy in one case.
pub fn outcome(strategy: Any, case: Case, size: Size) -> Outcome {
    in_virtual_time(size.seed, async {
        let speeds = case.speeds(size.instances);
        let speed = speeds.iter().sum::<f64>() / speeds.len() as f64;
        let breaker = Settings::default();
        let world = World::new(Plan { strategy, speeds, breaker, probed: false, limit: None });
        let up = |index: usize| {
            case != Case::Quiet || !(size.instances / 2..size.instances * 6 / 10).contains(&index)
        };
        for (index, state) in world.states.iter().enumerate() {
            state.set_up(up(index));
        }
        let mut in_flight = vec![0.0; size.instances];
        let load = Load {
            rate: capacity(size.instances, speed) * case.share(),
            time: size.time,
            clients: 10_000_000,
            greedy: (0, 1),
            seed: size.seed,
        };
        let told = world
            .drive(load, |second| {
                let counted = second < size.time.as_secs();
                for (sum, state) in in_flight.iter_mut().zip(&world.states).filter(|_| counted) {
                    *sum += f64::from(state.in_flight()) / size.time.as_secs_f64();
                }
            })
            .await;
        let only = |values: Vec<f64>| {
            let values = values.into_iter().enumerate().filter(|(index, _)| up(*index));
            values.map(|(_, value)| value).collect()
        };
        let requests = world.engines.iter().map(|engine| f64::from(engine.asked())).collect();
        Outcome { requests: only(requests), in_flight: only(in_flight), told }
    })
}

/// Every strategy in every case.
pub fn run(size: Size, report: &mut Report<'_>) -> io::Result<()> {
    let mut table = Table::new(
        format!(
            "{} instances, {} s: requests to an instance, in flight at one (average over the run), ms to the first token",
            size.instances,
            size.time.as_secs()
        ),
        [
            "instances are",
            "strategy",
            "requests",
            "min",
            "max",
            "cv",
            "in flight min",
            "in flight max",
            "in flight cv",
            "first p50 ms",
            "p99 ms",
            "whole p99 ms",
        ],
    );
    for (case, name) in Case::ALL {
        let (x, y) = (
            Axis::linear("instances, by how much they were sent, in %"),
            Axis::linear("requests to one of them"),
        );
        let mut chart =
            Chart::new(format!("Who is sent how much, instances: {name}"), x, y).undotted();
        for strategy in Any::all() {
            let outcome = outcome(strategy.clone(), case, size);
            let (requests, in_flight) =
                (Spread::of(&outcome.requests), Spread::of(&outcome.in_flight));
            let mut first: Vec<_> = outcome.told.iter().map(|told| told.first * 1e3).collect();
            let mut whole: Vec<_> = outcome.told.iter().map(|told| told.whole * 1e3).collect();
            let ms = |values: &mut [f64], share| format!("{:.0}", quantile(values, share));
            table.row([
                &name,
                &strategy,
                &outcome.told.len(),
                &requests.min,
                &requests.max,
                &format!("{:.3}", requests.cv),
                &format!("{:.2}", in_flight.min),
                &format!("{:.2}", in_flight.max),
                &format!("{:.3}", in_flight.cv),
                &ms(&mut first, 0.5),
                &ms(&mut first, 0.99),
                &ms(&mut whole, 0.99),
            ]);
            let mut sorted = outcome.requests;
            sorted.sort_unstable_by(f64::total_cmp);
            let count = sorted.len();
            let points = sorted.into_iter().enumerate().step_by(count.div_ceil(200));
            chart.line(
                &strategy,
                points.map(|(nth, sent)| (nth as f64 * 100.0 / count as f64, sent)),
            );
        }
        report.plot(&format!("fairness-{}", name.replace(' ', "-")), &chart)?;
    }
    report.table("fairness", &table)
}
