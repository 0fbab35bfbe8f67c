//! What ten million clients take of the limiter that tells them apart, and whether its answers are
//! right still where there are more than it has places for.

use std::io;
use std::time::Duration;

use allocation_counter::measure;
use http::HeaderMap;
use jairouter_core::rate_limit::{Algorithm, Limiter, PerClient, TokenBucket};
use jairouter_core::{Endpoint, InferenceRequest};
use tokio::time::Instant;

use crate::engine::payload;
use crate::plot::{Axis, Chart};
use crate::report::{Report, Table};
use crate::selection::now;
use crate::stats::median;
use crate::world::{address, in_virtual_time};

/// How much is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The numbers of clients.
    pub clients: &'static [u32],
    /// How many requests each sends, on average, in the minute.
    pub each: u32,
    /// What chance there is comes from. The limiter's own hash is secret, and differs each time.
    pub seed: u64,
}

/// Six a minute, and three at once.
const RATE: (f64, u64) = (0.1, 3);

/// One client in so many asks twenty times as much, which is more than it may.
const GREEDY: u32 = 100;

/// How many decisions are timed at once.
const BATCH: u32 = 1000;

/// A minute of so many clients.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// How many requests there were.
    pub requests: u32,
    /// What the limiter allocated, in bytes, and what decisions did beside it at most.
    pub bytes: u64,
    /// How many passed that a limit of the client's own would have refused.
    pub passed_wrongly: u32,
    /// How many were refused that it would have let pass.
    pub refused_wrongly: u32,
    /// How many were refused.
    pub refused: u32,
    /// What a decision took, in ns of real time: the median of batches of a thousand.
    pub ns: f64,
}

/// This many clients at a limiter with so many places.
pub fn outcome(clients: u32, places: Option<usize>, size: Size) -> Outcome {
    // On a clock that stands still: times are the model's.
    in_virtual_time(size.seed, async { a_minute(clients, places, size) })
}

fn a_minute(clients: u32, places: Option<usize>, size: Size) -> Outcome {
    let mut random = fastrand::Rng::with_seed(size.seed);
    let begun = Instant::now();
    let algorithm = TokenBucket::new(RATE.0, RATE.1);
    let mut limit = None;
    let allocated = measure(|| {
        let new = PerClient::new(algorithm);
        limit = Some(if let Some(places) = places { new.clients(places) } else { new });
    });
    let limit: PerClient<TokenBucket> = limit.expect("it is made");
    let requests = clients.saturating_mul(size.each);
    // What is asked is drawn first, so that only decisions are timed.
    let greedy = clients / GREEDY;
    let mut draw = || match random.u32(..clients + greedy * 19) {
        one if one < clients => one,
        more => (more - clients) / 19,
    };
    // A bucket for each client, by the library's own arithmetic: what a table without bounds would say.
    let mut exact = vec![0_u64; clients as usize];
    let request = InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload(1));
    let mut request = request.expect("it names a model");
    let mut outcome = Outcome {
        requests,
        bytes: allocated.bytes_current as u64,
        passed_wrongly: 0,
        refused_wrongly: 0,
        refused: 0,
        ns: 0.0,
    };
    let mut batch = Vec::with_capacity(BATCH as usize);
    let mut took = Vec::with_capacity(requests.div_ceil(BATCH) as usize);
    let running = measure(|| {
        for first in (0..requests).step_by(BATCH as usize) {
            let many = first..(first + BATCH).min(requests);
            let time =
                |nth: u32| Duration::from_secs(60).mul_f64(f64::from(nth) / f64::from(requests));
            batch.clear();
            batch.extend(many.map(|nth| (draw(), time(nth), false)));
            let started = now();
            for (client, at, passed) in &mut batch {
                request = request.with_client(Some(address(*client).into()));
                *passed = limit.acquire(&request, begun + *at).is_ok();
            }
            took.push(started.elapsed().as_nanos() as f64 / batch.len() as f64);
            for (client, at, passed) in &batch {
                let word = &mut exact[*client as usize];
                let right = algorithm.take(*word, 1, *at);
                outcome.refused += u32::from(!passed);
                match (right, passed) {
                    (Ok(next), true) => *word = next,
                    // The client does without, and its bucket is the fuller for it.
                    (Ok(_), false) => outcome.refused_wrongly += 1,
                    (Err(_), true) => outcome.passed_wrongly += 1,
                    (Err(_), false) => {}
                }
            }
        }
    });
    outcome.bytes += running.bytes_max;
    outcome.ns = median(&mut took);
    outcome
}

/// Every number of clients, with the places that there are by default and with as many as clients.
pub fn run(size: Size, report: &mut Report<'_>) -> io::Result<()> {
    let mut table = Table::new(
        format!(
            "A minute of clients that send {} requests each; each may send 6 a minute, 3 at once",
            size.each
        ),
        [
            "places",
            "clients",
            "requests",
            "bytes",
            "refused",
            "wrongly",
            "passed wrongly",
            "ns each",
        ],
    );
    let (x, y) = (Axis::logarithmic("clients"), Axis::logarithmic("bytes"));
    let mut chart = Chart::new("Memory of a limit per client", x, y);
    for (name, sized) in [("131,072, the default", false), ("as many as clients", true)] {
        let mut line = Vec::new();
        for &clients in size.clients {
            let outcome = outcome(clients, sized.then_some(clients as usize), size);
            let share =
                |count| format!("{:.3} %", f64::from(count) * 100.0 / f64::from(outcome.requests));
            line.push((f64::from(clients), outcome.bytes as f64));
            table.row([
                &name.replace(',', ""),
                &clients,
                &outcome.requests,
                &outcome.bytes,
                &share(outcome.refused),
                &share(outcome.refused_wrongly),
                &outcome.passed_wrongly,
                &format!("{:.0}", outcome.ns),
            ]);
        }
        chart.line(&name, line);
    }
    report.plot("memory", &chart)?;
    report.table("memory", &table)
}
