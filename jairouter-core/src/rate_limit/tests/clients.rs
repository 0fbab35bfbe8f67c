use std::net::Ipv6Addr;

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn each_client_has_its_own_and_knows_what_is_left_of_it() {
    let limit = PerClient::new(TokenBucket::new(1.0, 3));
    let now = Instant::now();
    for left in [2, 1, 0] {
        let grant = limit.acquire(&from(1), now).unwrap();
        let quota = grant.quotas().next().unwrap();
        assert_eq!((quota.limit, quota.remaining), (3, left));
    }
    assert!(limit.check(&from(1), now).is_err());
    assert!(limit.check(&from(2), now).is_ok());
    limit.give_back(&from(1), now);
    assert!(limit.check(&from(1), now).is_ok(), "given back");
}

// fault: L4
#[tokio::test(start_paused = true)]
async fn an_ipv6_network_of_a_home_is_one_client_and_a_mapped_address_its_ipv4_one() {
    let limit = PerClient::new(TokenBucket::new(1e-6, 1));
    let now = Instant::now();
    let v6 = |net: u16, host: u128| {
        let address = Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(net) << 64 | host);
        request().with_client(Some(address.into()))
    };
    drop(limit.acquire(&v6(1, 1), now).unwrap());
    for host in 2..10_000 {
        assert!(limit.acquire(&v6(1, host), now).is_err());
    }
    assert!(limit.acquire(&v6(2, 1), now).is_ok(), "the neighbour's is another");
    drop(limit.acquire(&from(7), now).unwrap());
    let mapped = Ipv4Addr::from_bits(7).to_ipv6_mapped();
    assert!(limit.check(&request().with_client(Some(mapped.into())), now).is_err());
    drop(limit.acquire(&request(), now).unwrap());
    assert!(limit.check(&request(), now).is_err(), "callers without an address are one");
}

// fault: L5
#[tokio::test(start_paused = true)]
async fn ten_million_addresses_take_no_more_memory_and_free_nobody_who_is_exhausted() {
    let limit = PerClient::new(TokenBucket::new(10.0, 2));
    assert!(limit.memory() <= 32 << 20, "{} bytes", limit.memory());
    let start = Instant::now();
    let exhausted: Vec<u32> = (0..100).map(|nth| 0xfe00_0000 + nth).collect();
    let slow = PerClient::new(TokenBucket::new(1e-6, 2));
    for client in &exhausted {
        for _ in 0..2 {
            drop(slow.acquire(&from(*client), start).unwrap());
            drop(limit.acquire(&from(*client), start).unwrap());
        }
    }
    // A flood of newcomers that use their limits up, too, and of ones that do not.
    let ask = request();
    for client in 0..10_000_000_u32 {
        let address = IpAddr::V4(Ipv4Addr::from_bits(client));
        let asked = ask.clone().with_client(Some(address));
        let _ = slow.acquire(&asked, start);
        if client < 1_000_000 {
            let _ = limit.acquire(&asked, start + Duration::from_micros(client.into()));
        }
    }
    for client in &exhausted {
        assert!(slow.acquire(&from(*client), start).is_err(), "{client} stays exhausted");
    }
    let later = start + seconds(2.0);
    assert!(limit.acquire(&from(exhausted[0]), later).is_ok(), "until its time is over");
    assert!(limit.acquire(&from(0xff00_0000), later).is_ok(), "and newcomers have a place again");
}

#[test]
fn every_table_is_as_large_as_it_is_wanted() {
    let sizes = |places: usize| {
        [
            PerClient::new(TokenBucket::new(1.0, 1)).clients(places).memory(),
            TokensPerMinute::per_client(1000).clients(places).memory(),
            ClientConcurrency::new(1).clients(places).memory(),
        ]
    };
    assert_eq!(sizes(1024), [16 << 10; 3]);
    assert_eq!(sizes(1025), [32 << 10; 3]);
    assert_eq!(TokensPerMinute::new(1000).clients(1024).memory(), 0, "it tells none apart");
}

#[tokio::test(start_paused = true)]
async fn newcomers_without_a_place_share_one_limit_and_are_told_nothing_of_it() {
    let limit = PerClient::new(TokenBucket::new(1e-6, 2)).clients(8);
    let now = Instant::now();
    for client in 0..8 {
        drop(limit.acquire(&from(client), now).unwrap());
    }
    let (first, second) = (limit.acquire(&from(100), now), limit.acquire(&from(101), now));
    assert_eq!(first.unwrap().quotas().count() + second.unwrap().quotas().count(), 0);
    assert!(limit.check(&from(102), now).is_err() && limit.acquire(&from(102), now).is_err());
    assert!(limit.acquire(&from(3), now).is_ok(), "those who have a place keep theirs");
}

#[tokio::test(start_paused = true)]
async fn a_model_has_its_own_and_others_have_none() {
    let models = [("m".into(), Limit::new(TokenBucket::new(1e-6, 1)))];
    let (limit, now) = (PerModel::new(models), Instant::now());
    drop(limit.acquire(&request(), now).unwrap());
    assert!(limit.check(&request(), now).is_err() && limit.acquire(&request(), now).is_err());
    let other = request().with_model("other");
    assert!(limit.acquire(&other, now).is_ok() && limit.acquire(&other, now).is_ok());
    limit.give_back(&request(), now);
    assert!(limit.acquire(&request(), now).is_ok());
}
