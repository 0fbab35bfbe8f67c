//! The strategies of the library, by name.

use std::fmt;
use std::sync::Arc;

use jairouter_core::InferenceRequest;
use jairouter_core::balance::{
    Candidates, ConsistentHash, HashAlgorithm, InstanceState, IpHash, LeastConnections,
    PowerOfTwoChoices, Random, RoundRobin, Strategy,
};

/// How many points on the ring the program gives an instance.
const VIRTUAL_NODES: u32 = 150;

/// One of the library's strategies.
#[derive(Debug, Clone)]
pub enum Any {
    /// One after the other.
    RoundRobin(RoundRobin),
    /// At random.
    Random(Random),
    /// The one with the fewest in flight.
    LeastConnections(LeastConnections),
    /// The less busy of two.
    PowerOfTwoChoices(PowerOfTwoChoices),
    /// By the caller's address.
    IpHash(IpHash),
    /// By the caller's address, on a ring.
    ConsistentHash(ConsistentHash),
}

impl Any {
    /// All of them, each fresh.
    pub fn all() -> [Self; 6] {
        [
            Self::RoundRobin(RoundRobin::new()),
            Self::Random(Random::new()),
            Self::least_connections(),
            Self::PowerOfTwoChoices(PowerOfTwoChoices::new()),
            Self::IpHash(IpHash::new(HashAlgorithm::Md5)),
            Self::ConsistentHash(ConsistentHash::new(HashAlgorithm::Md5, VIRTUAL_NODES)),
        ]
    }

    /// The program's default.
    pub fn least_connections() -> Self {
        Self::LeastConnections(LeastConnections::new())
    }
}

impl fmt::Display for Any {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RoundRobin(_) => "round robin",
            Self::Random(_) => "random",
            Self::LeastConnections(_) => "least connections",
            Self::PowerOfTwoChoices(_) => "two choices",
            Self::IpHash(_) => "IP hash",
            Self::ConsistentHash(_) => "consistent hash",
        })
    }
}

impl Strategy for Any {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        match self {
            Self::RoundRobin(it) => it.bind(instances),
            Self::Random(it) => it.bind(instances),
            Self::LeastConnections(it) => it.bind(instances),
            Self::PowerOfTwoChoices(it) => it.bind(instances),
            Self::IpHash(it) => it.bind(instances),
            Self::ConsistentHash(it) => it.bind(instances),
        }
    }

    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        match self {
            Self::RoundRobin(it) => it.select(request, candidates),
            Self::Random(it) => it.select(request, candidates),
            Self::LeastConnections(it) => it.select(request, candidates),
            Self::PowerOfTwoChoices(it) => it.select(request, candidates),
            Self::IpHash(it) => it.select(request, candidates),
            Self::ConsistentHash(it) => it.select(request, candidates),
        }
    }
}
