//! How many are connected: all callers together, and each of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use super::Settings;

/// Everybody who is connected.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    all: AtomicUsize,
    /// Those that are limited one by one; as many as there are connections at most. Taken when a connection
    /// comes and when it goes, and not for a request.
    each: Mutex<HashMap<IpAddr, usize>>,
}

/// Why one more is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There are as many as there may be.
    Full(usize),
    /// This client has as many as one may have.
    OfClient(usize),
}

/// One connection of those that are counted, until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    crowd: Arc<Crowd>,
    client: Option<IpAddr>,
}

impl Crowd {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    /// Lets one more in, unless it would be over a limit.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        settings: &Settings,
    ) -> Result<Counted, Refusal> {
        let limit = settings.max_connections;
        let free = |count: usize| (count < limit).then_some(count + 1);
        if self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_err() {
            return Err(Refusal::Full(limit));
        }
        // Gives the place back if the client has none.
        let mut counted = Counted { crowd: Arc::clone(self), client: None };
        if let Some(limit) = settings.max_connections_per_client
            && let Some(client) = client(peer, &settings.trusted_proxies)
        {
            let mut each = self.each.lock().unwrap_or_else(PoisonError::into_inner);
            let count = each.entry(client).or_default();
            if *count >= limit {
                drop(each);
                return Err(Refusal::OfClient(limit));
            }
            *count += 1;
            counted.client = Some(client);
        }
        Ok(counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.crowd.all.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        let mut each = self.crowd.each.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = each.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                each.remove(&client);
            }
        }
    }
}

/// Whose connections these are: an address, or a network of version 6 that one client has all of (RFC 6177).
/// A proxy that is trusted has those of many.
fn client(peer: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer.to_canonical();
    if trusted.iter().any(|net| net.contains(&peer)) {
        return None;
    }
    Some(match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jairouter_config::config;

    fn settings(all: usize, each: usize) -> Settings {
        let mut settings = Settings::of(&config::Config::default().server);
        settings.max_connections = all;
        settings.max_connections_per_client = Some(each);
        settings.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()];
        settings
    }

    // fault: S13
    #[test]
    fn no_client_has_more_than_its_share_and_a_proxy_has_none() {
        let crowd = Arc::new(Crowd::default());
        let settings = settings(100, 2);
        let enter = |peer: &str| crowd.enter(peer.parse().unwrap(), &settings);
        let first = enter("192.0.2.1").unwrap();
        let _second = enter("::ffff:192.0.2.1").unwrap();
        assert_eq!(enter("192.0.2.1").unwrap_err(), Refusal::OfClient(2));
        let _other = enter("192.0.2.2").unwrap();
        let _v6 = [enter("2001:db8::1").unwrap(), enter("2001:db8::2:0:0:1").unwrap()];
        assert_eq!(enter("2001:db8:0:0:ffff::").unwrap_err(), Refusal::OfClient(2), "one /64");
        let _next = enter("2001:db8:0:1::1").unwrap();
        let proxied: Vec<_> = (0..50).map(|_| enter("10.1.2.3").unwrap()).collect();
        assert_eq!(crowd.len(), 56);
        drop(first);
        let _again = enter("192.0.2.1").unwrap();
        drop(proxied);
        assert_eq!(crowd.len(), 6, "who was refused is not counted");
    }

    #[test]
    fn nothing_is_kept_of_who_is_gone_and_the_limit_of_all_comes_first() {
        let crowd = Arc::new(Crowd::default());
        let settings = settings(3, 2);
        let enter = |last: u8| crowd.enter([192, 0, 2, last].into(), &settings);
        let in_here: Vec<_> = (0..3).map(|last| enter(last).unwrap()).collect();
        assert_eq!(enter(0).unwrap_err(), Refusal::Full(3));
        drop(in_here);
        assert_eq!((crowd.len(), crowd.each.lock().unwrap().len()), (0, 0));
    }
}
