//! Choosing an instance: one request at a balancer whose instances answer at once.

use std::hint::black_box;
use std::sync::Arc;

use jairouter_core::balance::{
    ConsistentHash, HashAlgorithm, Instance, InstanceState, IpHash, LeastConnections,
    LoadBalanceLayer, PowerOfTwoChoices, Random, RoundRobin, Strategy,
};
use jairouter_core::circuit_breaker::{Breaker, Settings};
use tower::{Layer, Service};

use crate::engine::Says;
use crate::{Case, ask, finish};

const SIZES: [usize; 4] = [4, 100, 1_000, 10_000];

pub(crate) fn cases() -> Vec<Case> {
    let of = |size| {
        [
            balanced("random", size, Random::new),
            balanced("round-robin", size, RoundRobin::new),
            balanced("least-connections", size, LeastConnections::new),
            balanced("power-of-two", size, PowerOfTwoChoices::new),
            balanced("ip-hash", size, || IpHash::new(HashAlgorithm::Md5)),
            balanced("consistent-hash", size, || ConsistentHash::new(HashAlgorithm::Md5, 150)),
        ]
    };
    SIZES.into_iter().flat_map(of).collect()
}

fn balanced<P: Strategy + Clone>(name: &str, size: usize, strategy: fn() -> P) -> Case {
    Case::new(format!("{name}/{size}"), move || {
        let instances: Vec<_> = (0..size).map(instance).collect();
        let layer = LoadBalanceLayer::new(strategy()).headers(false);
        let mut service = layer.layer(instances);
        let request = ask::small(false);
        move || drop(black_box(finish(service.call(request.clone()))))
    })
}

fn instance(nth: usize) -> Instance<Says> {
    let breaker = Arc::new(Breaker::new(Settings::default()));
    let state = InstanceState::new(format!("i{nth}")).with_max_concurrency(64);
    Instance::with_state(Arc::new(state.with_breaker(breaker)), Says(""))
}
