//! Instances that fail one wave after another, and one that fails fast and has time for everybody.

use std::io;
use std::time::Duration;

use jairouter_core::circuit_breaker::Settings;

use crate::engine::Mood;
use crate::plot::{Axis, Chart};
use crate::report::{Report, Table};
use crate::stats::quantile;
use crate::strategy::Any;
use crate::world::{Load, Plan, Told, World, capacity, in_virtual_time};

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many instances there are.
    pub instances: usize,
    /// The share of what they can do that is asked of them.
    pub share: f64,
    /// For how long.
    pub time: Duration,
    /// What all chance comes from.
    pub seed: u64,
}

/// What breaks, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// From the tenth second on every ten seconds another tenth is gone, for twenty seconds; five times.
    Waves,
    /// From the tenth second to the fortieth, one in a hundred fails so many of a hundred requests at once.
    BlackHole(u8),
}

/// A second of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Second {
    /// Requests that came in it.
    pub requests: f64,
    /// Of these, how many had no whole answer.
    pub failed: f64,
    /// How many instances were asked, of all and of those that break once.
    pub asked: [f64; 2],
    /// Breakers that are not closed.
    pub open: f64,
    /// In flight at one of those that never break, on average and at most.
    pub survivors: [f64; 2],
    /// The same at those that have come back.
    pub returned: [f64; 2],
    /// The first token's 99th percentile, in ms.
    pub first: f64,
}

/// What there was to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Every second.
    pub seconds: Vec<Second>,
    /// Every request.
    pub told: Vec<Told>,
    /// How often a breaker opened.
    pub trips: u64,
    /// How many instances were asked in all.
    pub asked: u64,
}

impl Trouble {
    /// How an instance is in this second.
    fn mood(self, index: usize, second: u64, instances: usize) -> Mood {
        match self {
            Self::Waves => {
                let wave = (index * 10 / instances) as u64;
                let (from, to) = (10 + wave * 10, 30 + wave * 10);
                if wave < 5 && (from..to).contains(&second) { Mood::Gone } else { Mood::Well }
            }
            Self::BlackHole(percent) => {
                let breaks = self.breaks(index, instances) && (10..40).contains(&second);
                if breaks { Mood::Failing(percent) } else { Mood::Well }
            }
        }
    }

    /// Whether it breaks at any time.
    fn breaks(self, index: usize, instances: usize) -> bool {
        match self {
            Self::Waves => index * 10 / instances < 5,
            Self::BlackHole(_) => index.is_multiple_of((instances / 10).clamp(10, 100)),
        }
    }
}

/// One strategy through this trouble.
pub fn outcome(strategy: Any, trouble: Trouble, probed: bool, size: Size) -> Outcome {
    in_virtual_time(size.seed, async {
        let speeds = vec![1.0; size.instances];
        let breaker = Settings::default().with_open_for(Duration::from_secs(10));
        let world = World::new(Plan { strategy, speeds, breaker, probed, limit: None });
        let load = Load {
            rate: capacity(size.instances, 1.0) * size.share,
            time: size.time,
            clients: 10_000_000,
            greedy: (0, 1),
            seed: size.seed,
        };
        let mut moods = vec![Mood::Well; size.instances];
        let mut seconds: Vec<Second> = Vec::new();
        let mut before = [0.0; 2];
        let told = world
            .drive(load, |second| {
                let breaks = |index: usize| trouble.breaks(index, size.instances);
                let engines = world.engines.iter().enumerate();
                let asked = |broken: bool| -> f64 {
                    let those = engines.clone().filter(|(index, _)| !broken || breaks(*index));
                    those.map(|(_, engine)| f64::from(engine.asked())).sum()
                };
                let asked = [asked(false), asked(true)];
                let load = |broken: bool| {
                    let states = world.states.iter().zip(&moods).enumerate();
                    let those = states.filter(|(index, (_, mood))| {
                        breaks(*index) == broken && **mood == Mood::Well
                    });
                    let (mut count, mut sum, mut most) = (0.0_f64, 0.0, 0.0_f64);
                    for (_, (state, _)) in those {
                        let busy = f64::from(state.in_flight());
                        (count, sum, most) = (count + 1.0, sum + busy, most.max(busy));
                    }
                    [sum / count.max(1.0), most]
                };
                seconds.push(Second {
                    asked: [asked[0] - before[0], asked[1] - before[1]],
                    open: world.open_breakers() as f64,
                    survivors: load(false),
                    returned: load(true),
                    ..Second::default()
                });
                before = asked;
                for (index, engine) in engines {
                    let mood = trouble.mood(index, second, size.instances);
                    if std::mem::replace(&mut moods[index], mood) != mood {
                        engine.set(mood);
                    }
                }
            })
            .await;
        // What was counted at the beginning of a second was of the one before.
        seconds.remove(0);
        seconds.truncate(size.time.as_secs() as usize);
        let mut firsts = vec![Vec::new(); seconds.len()];
        for told in &told {
            let Some(second) = seconds.get_mut(told.at as usize) else { continue };
            second.requests += 1.0;
            second.failed += f64::from(u8::from(told.failed.is_some()));
            firsts[told.at as usize].push(told.first * 1e3);
        }
        for (second, mut firsts) in seconds.iter_mut().zip(firsts) {
            second.first = quantile(&mut firsts, 0.99);
        }
        let asked = world.engines.iter().map(|engine| u64::from(engine.asked())).sum();
        Outcome { seconds, told, trips: world.trips(), asked }
    })
}

impl Outcome {
    /// This of every second.
    fn over(&self, value: impl Fn(&Second) -> f64) -> Vec<(f64, f64)> {
        let seconds = self.seconds.iter().enumerate();
        seconds.map(|(at, second)| (at as f64, value(second))).collect()
    }

    /// The most of this in any second.
    fn most(&self, value: impl Fn(&Second) -> f64) -> f64 {
        self.seconds.iter().map(value).fold(0.0, f64::max)
    }

    /// The share of requests that were refused, or that broke off.
    pub fn failed(&self, broke_off: bool) -> f64 {
        let failed = self.told.iter().filter(|told| told.failed.is_some());
        let those = failed.filter(|told| (told.whole > told.first) == broke_off);
        those.count() as f64 / self.told.len() as f64
    }

    /// The share of what was sent from the tenth second to the fortieth that went to those that break.
    pub fn drawn(&self) -> f64 {
        let seconds = self.seconds.iter().take(40).skip(10);
        let [all, broken] = seconds.fold([0.0; 2], |[all, broken], second| {
            [all + second.asked[0], broken + second.asked[1]]
        });
        broken / all
    }

    fn row(&self, name: &str, strategy: &Any, probed: bool, table: &mut Table) {
        let mut firsts: Vec<_> = self.told.iter().map(|told| told.first * 1e3).collect();
        let last = &self.seconds[self.seconds.len().saturating_sub(10)..];
        let last = last.iter().map(|second| second.first).fold(0.0, f64::max);
        let all = self.told.len() as f64;
        table.row([
            &name,
            strategy,
            &if probed { "yes" } else { "no" },
            &all,
            &format!("{:.3} %", self.failed(false) * 100.0),
            &format!("{:.3} %", self.failed(true) * 100.0),
            &format!("{:.4}", self.asked as f64 / all),
            &self.trips,
            &format!("{:.3} %", self.drawn() * 100.0),
            &self.most(|it| it.survivors[1]),
            &self.most(|it| it.returned[1]),
            &format!("{:.0}", quantile(&mut firsts, 0.99)),
            &format!("{:.0}", self.most(|it| it.first)),
            &format!("{last:.0}"),
        ]);
    }
}

/// Every trouble.
pub fn run(size: Size, report: &mut Report<'_>) -> io::Result<()> {
    let title =
        format!("{} instances at {:.0} % of what they can do", size.instances, size.share * 100.0);
    let head = [
        "trouble",
        "strategy",
        "probed",
        "requests",
        "no answer",
        "broke off",
        "instances asked for each",
        "breakers opened",
        "sent to those that break 10 to 40 s",
        "most in flight: survivor",
        "returned",
        "first token p99 ms",
        "of the worst second",
        "of the last 10 s",
    ];
    let mut table = Table::new(title, head);
    waves(size, &mut table, report)?;
    for (percent, name) in [(100, "black hole"), (50, "half a black hole")] {
        let mut drawn = chart(format!("Sent to one in a hundred, in % of all: {name}"), "%");
        for strategy in Any::all() {
            let trouble = Trouble::BlackHole(percent);
            let outcome = outcome(strategy.clone(), trouble, false, size);
            drawn.line(&strategy, outcome.over(|it| it.asked[1] * 100.0 / it.asked[0].max(1.0)));
            outcome.row(name, &strategy, false, &mut table);
        }
        report.plot(&format!("failure-{}", name.replace(' ', "-")), &drawn)?;
    }
    report.table("failure", &table)
}

fn waves(size: Size, table: &mut Table, report: &mut Report<'_>) -> io::Result<()> {
    let mut failed = chart("Requests without a whole answer, in %: waves", "%");
    let mut drawn = chart("Sent to the half that fails by and by, in % of all: waves", "%");
    let mut load = chart("In flight at one instance: waves, least connections", "requests");
    let all = Any::all().map(|strategy| (strategy, false));
    for (strategy, probed) in all.into_iter().chain([(Any::least_connections(), true)]) {
        let outcome = outcome(strategy.clone(), Trouble::Waves, probed, size);
        let name = if probed { format!("{strategy}, probed") } else { strategy.to_string() };
        failed.line(&name, outcome.over(|it| it.failed * 100.0 / it.requests.max(1.0)));
        drawn.line(&name, outcome.over(|it| it.asked[1] * 100.0 / it.asked[0].max(1.0)));
        if matches!(strategy, Any::LeastConnections(_)) && !probed {
            load.line(&"never fail, average", outcome.over(|it| it.survivors[0]));
            load.line(&"never fail, most", outcome.over(|it| it.survivors[1]));
            load.line(&"fail and are up, average", outcome.over(|it| it.returned[0]));
            load.line(&"fail and are up, most", outcome.over(|it| it.returned[1]));
            load.line(&"open breakers / 10", outcome.over(|it| it.open / 10.0));
        }
        outcome.row("waves", &strategy, probed, table);
    }
    report.plot("failure-waves-failed", &failed)?;
    report.plot("failure-waves-sent", &drawn)?;
    report.plot("failure-waves-load", &load)
}

fn chart(title: impl Into<String>, y: &str) -> Chart {
    Chart::new(title, Axis::linear("seconds"), Axis::linear(y)).undotted()
}
