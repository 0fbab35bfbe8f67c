use std::net::IpAddr;
use std::sync::Arc;

use fastrand::Rng;
#[cfg(feature = "md5-sha1")]
use md5::Md5;
#[cfg(feature = "md5-sha1")]
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::{Candidates, InstanceState, Strategy, draw};
use crate::request::InferenceRequest;

/// How often an address is hashed anew when its instance cannot be asked.
const REHASHES: u32 = 20;

/// The most points on a ring.
const MOST_POINTS: u64 = 1 << 20;

/// How many points of a ring are looked at before it is found out who is there at all.
const NEAR: usize = 64;

/// The digest behind [`IpHash`] and [`ConsistentHash`]. None of them guards anything here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum HashAlgorithm {
    /// MD5, with the feature `md5-sha1`.
    #[cfg(feature = "md5-sha1")]
    Md5,
    /// SHA-1, with the feature `md5-sha1`.
    #[cfg(feature = "md5-sha1")]
    Sha1,
    /// SHA-256, the default.
    #[default]
    Sha256,
}

impl HashAlgorithm {
    fn hash(self, key: &[u8], salt: u32) -> u64 {
        match self {
            #[cfg(feature = "md5-sha1")]
            Self::Md5 => head::<Md5>(key, salt),
            #[cfg(feature = "md5-sha1")]
            Self::Sha1 => head::<Sha1>(key, salt),
            Self::Sha256 => head::<Sha256>(key, salt),
        }
    }
}

/// The first eight bytes of a digest, and of its salt unless that is zero.
fn head<D: Digest>(key: &[u8], salt: u32) -> u64 {
    let mut digest = D::new();
    digest.update(key);
    if salt > 0 {
        digest.update(salt.to_be_bytes());
    }
    digest.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The caller's address, in the bytes that are hashed. Callers without one are all alike.
fn caller(request: &InferenceRequest) -> [u8; 16] {
    match request.client {
        Some(IpAddr::V4(address)) => address.to_ipv6_mapped().octets(),
        Some(IpAddr::V6(address)) => address.octets(),
        None => [0; 16],
    }
}

/// The same caller to the same instance, by a digest of its address, as often as the weights say.
///
/// When an instance cannot be asked, its callers spread over the others and come back with it.
#[derive(Debug, Clone)]
pub struct IpHash {
    algorithm: HashAlgorithm,
    /// Running sums of the weights.
    shares: Box<[u64]>,
}

impl IpHash {
    /// Hashes by this algorithm.
    pub fn new(algorithm: HashAlgorithm) -> Self {
        Self { algorithm, shares: Box::new([]) }
    }
}

impl Strategy for IpHash {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        self.shares = draw::shares(instances);
    }

    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let (total, key) = (*self.shares.last()?, caller(request));
        let mut hashed = (0..REHASHES)
            .map(|salt| draw::holder(&self.shares, self.algorithm.hash(&key, salt) % total));
        let found = hashed.find(|index| candidates.contains(*index));
        // Few are left. Were it the first of them, that one would have all such callers.
        found.or_else(|| {
            draw::by_weight(candidates, &mut Rng::with_seed(self.algorithm.hash(&key, REHASHES)))
        })
    }
}

/// The same caller to the same instance, on a ring: when instances come or go, only the callers of
/// those move.
#[derive(Debug, Clone)]
pub struct ConsistentHash {
    algorithm: HashAlgorithm,
    virtual_nodes: u32,
    /// Points and the instances they belong to, in order.
    ring: Box<[(u64, u16)]>,
}

impl ConsistentHash {
    /// Hashes by this algorithm, with this many points on the ring for an instance of average
    /// weight. More points spread callers more evenly: 150 keep shares within about a tenth.
    pub fn new(algorithm: HashAlgorithm, virtual_nodes: u32) -> Self {
        Self { algorithm, virtual_nodes, ring: Box::new([]) }
    }
}

impl Strategy for ConsistentHash {
    fn bind(&mut self, instances: &[Arc<InstanceState>]) {
        let count = instances.len() as u64;
        let total: u64 = instances.iter().map(|state| u64::from(state.weight())).sum();
        let nodes = u64::from(self.virtual_nodes).min(MOST_POINTS / count.max(1));
        let algorithm = self.algorithm;
        let points = instances.iter().zip(0_u16..).flat_map(|(state, index)| {
            let share = nodes * u64::from(state.weight()) * count / total;
            (1..=share.max(1) as u32)
                .map(move |node| (algorithm.hash(state.id().as_bytes(), node), index))
        });
        let mut ring: Vec<_> = points.collect();
        ring.sort_unstable();
        self.ring = ring.into();
    }

    fn select(&self, request: &InferenceRequest, candidates: &Candidates<'_>) -> Option<usize> {
        let point = self.algorithm.hash(&caller(request), 0);
        let start = self.ring.partition_point(|(at, _)| *at < point);
        let (before, behind) = self.ring.split_at(start);
        let mut onward = behind.iter().chain(before).map(|(_, index)| usize::from(*index));
        let near = onward.by_ref().take(NEAR).find(|index| candidates.contains(*index));
        near.or_else(|| {
            // Few are left, or none: each instance is asked once, and not at each of its points.
            let are = (0..candidates.all().len()).map(|index| candidates.contains(index));
            let are: Box<[bool]> = are.collect();
            if are.contains(&true) { onward.find(|index| are[*index]) } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::tests::{choose_for, from, pool};
    use super::*;

    /// With the first eight bytes of the digest of `abc`, by RFC 1321, RFC 3174 and FIPS 180-4.
    const ALGORITHMS: &[(HashAlgorithm, u64)] = &[
        (HashAlgorithm::Sha256, 0xba78_16bf_8f01_cfea),
        #[cfg(feature = "md5-sha1")]
        (HashAlgorithm::Md5, 0x9001_5098_3cd2_4fb0),
        #[cfg(feature = "md5-sha1")]
        (HashAlgorithm::Sha1, 0xa999_3e36_4706_816a),
    ];

    fn homes(strategy: &impl Strategy, pool: &[Arc<InstanceState>]) -> Vec<usize> {
        let callers = (0..2000_u32).map(|n| from(Ipv4Addr::from_bits(0x0a00_0000 + n).into()));
        callers.map(|request| choose_for(strategy, pool, &request).unwrap()).collect()
    }

    fn share(homes: &[usize], of: usize) -> f64 {
        homes.iter().filter(|home| **home == of).count() as f64 / homes.len() as f64
    }

    fn check(strategy: &mut impl Strategy, slack: f64) {
        let pool = pool(&[2, 1, 1]);
        strategy.bind(&pool);
        let before = homes(strategy, &pool);
        assert_eq!(before, homes(strategy, &pool), "a caller stays");
        for (index, expected) in [(0, 0.5), (1, 0.25), (2, 0.25)] {
            let share = share(&before, index);
            assert!((share - expected).abs() < slack, "{index}: {share}");
        }
        pool[0].set_up(false);
        let during = homes(strategy, &pool);
        for (before, during) in before.iter().zip(&during) {
            assert!(*before == 0 || before == during, "only the callers of the lost one move");
        }
        assert!((share(&during, 1) - 0.5).abs() < 2.0 * slack, "and they spread");
        pool[0].set_up(true);
        assert_eq!(before, homes(strategy, &pool), "and come back");
    }

    // fault: R15
    #[test]
    fn a_caller_keeps_its_instance_and_moves_only_when_that_is_down() {
        for (algorithm, _) in ALGORITHMS {
            check(&mut IpHash::new(*algorithm), 0.04);
            check(&mut ConsistentHash::new(*algorithm, 150), 0.10);
        }
    }

    #[test]
    fn the_callers_of_many_that_are_down_spread_over_the_few_that_are_left() {
        let pool = pool(&[1; 200]);
        for state in &pool[2..198] {
            state.set_up(false);
        }
        let mut strategy = IpHash::new(HashAlgorithm::default());
        strategy.bind(&pool);
        let homes = homes(&strategy, &pool);
        for left in [0, 1, 198, 199] {
            let share = share(&homes, left);
            assert!((share - 0.25).abs() < 0.05, "{left} has {share}");
        }
        assert_eq!(homes, self::homes(&strategy, &pool), "a caller stays");
    }

    #[test]
    fn a_ring_of_which_one_is_left_finds_it_and_none_where_none_is() {
        let pool = pool(&[1; 300]);
        let mut strategy = ConsistentHash::new(HashAlgorithm::default(), 150);
        strategy.bind(&pool);
        for (index, state) in pool.iter().enumerate() {
            state.set_up(index == 77);
        }
        assert!(homes(&strategy, &pool).iter().all(|home| *home == 77));
        pool[77].set_up(false);
        assert_eq!(choose_for(&strategy, &pool, &from(Ipv4Addr::LOCALHOST.into())), None);
    }

    #[test]
    fn the_digests_are_the_ones_they_are_called() {
        for (algorithm, expected) in ALGORITHMS {
            assert_eq!(algorithm.hash(b"abc", 0), *expected, "{algorithm:?}");
        }
    }
}
