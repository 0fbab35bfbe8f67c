mod flapping;
mod model;
mod permits;
mod rules;
mod sequences;
mod service;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use super::{Breaker, Permit, Settings, State};

const SECOND: Duration = Duration::from_secs(1);

/// Opens at the second failure in a row, for exactly 10 s, and wants two probes.
fn settings() -> Settings {
    Settings::default().with_failure_threshold(2).with_open_for(10 * SECOND).with_jitter(0.0)
}

fn breaker(settings: Settings) -> Arc<Breaker> {
    Arc::new(Breaker::new(settings))
}

fn now() -> Instant {
    Instant::now()
}

fn admit(breaker: &Arc<Breaker>) -> Permit {
    breaker.admit(now()).expect("the breaker admits requests")
}

/// Fails requests until it opens.
fn trip(breaker: &Arc<Breaker>) {
    let trips = breaker.trips();
    while breaker.trips() == trips {
        admit(breaker).failure(now());
    }
    assert_eq!(breaker.state(now()), State::Open, "a trip opens it");
}

/// A breaker that has been open and is due for probes.
async fn due(settings: Settings) -> Arc<Breaker> {
    let breaker = breaker(settings);
    trip(&breaker);
    advance(breaker.would_refuse(now()).unwrap()).await;
    assert_eq!(breaker.state(now()), State::HalfOpen, "its time is over");
    breaker
}

/// Passes as many probes as it wants.
fn recover(breaker: &Arc<Breaker>) {
    while breaker.state(now()) == State::HalfOpen {
        admit(breaker).success(now());
    }
    assert_eq!(breaker.state(now()), State::Closed, "probes that pass close it");
}
