//! What greedy clients leave to the others, with a limit for each client and without one.

use std::io;
use std::time::Duration;

use jairouter_core::Kind;
use jairouter_core::circuit_breaker::Settings;
use jairouter_core::rate_limit::{PerClient, TokenBucket};

use crate::report::{Report, Table};
use crate::stats::quantile;
use crate::strategy::Any;
use crate::world::{Load, Plan, Told, World, capacity, in_virtual_time};

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many instances there are.
    pub instances: usize,
    /// How many clients, of whom one in a hundred asks a hundred times as much.
    pub clients: u32,
    /// For how long.
    pub time: Duration,
    /// What all chance comes from.
    pub seed: u64,
}

/// What callers saw, where greedy ones ask for more than there is.
pub fn outcome(limited: bool, size: Size) -> Vec<Told> {
    in_virtual_time(size.seed, async {
        let rate = capacity(size.instances, 1.0) * 1.5;
        let greedy = size.clients / 100;
        // What a modest client asks on average is 1 of as many parts as there are; it may ask five times that.
        let parts = f64::from(size.clients - greedy + greedy * 100);
        let bucket = TokenBucket::new(5.0 * rate / parts, 5);
        let plan = Plan {
            strategy: Any::least_connections(),
            speeds: vec![1.0; size.instances],
            breaker: Settings::default(),
            probed: false,
            limit: limited.then(|| PerClient::new(bucket)),
        };
        let load = Load {
            rate,
            time: size.time,
            clients: size.clients,
            greedy: (greedy, 100),
            seed: size.seed,
        };
        World::new(plan).drive(load, |_| {}).await
    })
}

/// With the limit, and without.
pub fn run(size: Size, report: &mut Report<'_>) -> io::Result<()> {
    let mut table = Table::new(
        format!(
            "{} clients, of whom 1 % ask 100 times as much: 1.5 times what {} instances can do",
            size.clients, size.instances
        ),
        [
            "limit per client",
            "clients",
            "requests",
            "share of the answers",
            "refused",
            "first p50 ms",
            "p99 ms",
        ],
    );
    for limited in [false, true] {
        let told = outcome(limited, size);
        let answered = |told: &Told| told.failed.is_none();
        let all = told.iter().filter(|told| answered(told)).count() as f64;
        for (greedy, who) in [(false, "modest"), (true, "greedy")] {
            let of = |told: &&Told| (told.client < size.clients / 100) == greedy;
            let requests = told.iter().filter(of).count();
            let refused =
                told.iter().filter(of).filter(|told| told.failed == Some(Kind::RateLimited));
            let refused = refused.count() as f64 / requests as f64;
            let mut first: Vec<_> = told
                .iter()
                .filter(of)
                .filter(|told| answered(told))
                .map(|told| told.first * 1e3)
                .collect();
            table.row([
                &if limited { "5 times the average" } else { "none" },
                &who,
                &requests,
                &format!("{:.1} %", first.len() as f64 * 100.0 / all),
                &format!("{:.2} %", refused * 100.0),
                &format!("{:.0}", quantile(&mut first, 0.5)),
                &format!("{:.0}", quantile(&mut first, 0.99)),
            ]);
        }
    }
    report.table("shares", &table)
}
