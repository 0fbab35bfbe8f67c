//! A small world, and what must be so in it whatever the seed.
#![cfg(test)]

use jairouter_simulation::failure::{self, Trouble};
use jairouter_simulation::fairness::{self, Case};
use jairouter_simulation::memory;
use jairouter_simulation::report::Report;
use jairouter_simulation::selection::{Pool, Situation};
use jairouter_simulation::shares;
use jairouter_simulation::stats::Spread;
use jairouter_simulation::strategy::Any;
use jairouter_simulation::{EXPERIMENTS, Size, run};

const SEEDS: [u64; 3] = [1, 2, 3];

#[test]
fn every_experiment_runs_and_says_something() {
    let mut out = Vec::new();
    run(Size::quick(7), &EXPERIMENTS, &mut Report::new(&mut out, None)).unwrap();
    let out = String::from_utf8(out).unwrap();
    for name in EXPERIMENTS {
        assert!(out.contains(&format!("{name} took")), "{out}");
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let fair =
        |seed| fairness::outcome(Any::all()[3].clone(), Case::Unequal, Size::quick(seed).fairness);
    assert!(fair(1) == fair(1), "and fastrand is seeded, for the library draws lots");
    assert!(fair(1) != fair(2));
    let failed = |seed| {
        let size = Size::quick(seed).failure;
        failure::outcome(Any::least_connections(), Trouble::BlackHole(50), false, size)
    };
    assert!(failed(1) == failed(1));
    assert!(failed(1) != failed(2));
    let waves = || {
        let size = Size::quick(1).failure;
        failure::outcome(Any::least_connections(), Trouble::Waves, true, size)
    };
    assert!(waves() == waves(), "whoever breaks off does so in the same order");
}

#[test]
fn instances_that_are_alike_are_used_alike() {
    for seed in SEEDS {
        let size = Size::quick(seed).fairness;
        let of = |strategy: &Any| fairness::outcome(strategy.clone(), Case::Equal, size);
        let [round_robin, random, least, two, ip_hash, ring] = Any::all().map(|it| of(&it));
        let turns = Spread::of(&round_robin.requests);
        assert!(turns.max - turns.min <= 1.0, "{turns:?}");
        for (outcome, most) in
            [(&random, 0.25), (&least, 0.2), (&two, 0.2), (&ip_hash, 0.3), (&ring, 0.4)]
        {
            let spread = Spread::of(&outcome.requests);
            assert!(spread.cv < most, "{spread:?}");
        }
        let [least, two] = [least, two].map(|outcome| Spread::of(&outcome.in_flight).cv);
        assert!(least < 0.06 && two < 0.15, "{least}, {two}");
    }
}

#[test]
fn the_faster_are_sent_more_and_the_turns_of_a_row_that_is_down_are_everybodys() {
    for seed in SEEDS {
        let size = Size::quick(seed).fairness;
        let unequal = fairness::outcome(Any::least_connections(), Case::Unequal, size);
        let speed = |nth: usize| {
            unequal.requests.iter().skip(nth).step_by(3).sum::<f64>()
                / unequal.requests.len() as f64
        };
        assert!(speed(0) * 1.5 < speed(1) && speed(1) * 1.5 < speed(2), "{:?}", unequal.requests);
        let quiet = fairness::outcome(Any::least_connections(), Case::Quiet, size);
        let spread = Spread::of(&quiet.requests);
        assert!(spread.max <= spread.mean.ceil() + 1.0, "{:?}", quiet.requests);
    }
}

#[test]
fn greedy_clients_take_nothing_from_the_others_where_each_has_a_limit() {
    for seed in SEEDS {
        let size = Size::quick(seed).shares;
        let modest = |limited: bool| {
            let told = shares::outcome(limited, size);
            let told = told.into_iter().filter(|told| told.client >= size.clients / 100);
            told.collect::<Vec<_>>()
        };
        let limited = modest(true);
        assert!(limited.iter().all(|told| told.failed.is_none() && told.first < 2.0), "{seed}");
        assert!(modest(false).iter().any(|told| told.first > 2.0), "they wait without one");
    }
}

#[test]
fn waves_of_failures_cost_what_was_under_way_and_hardly_an_answer_else() {
    for (seed, probed) in SEEDS.into_iter().zip([false, true, false]) {
        for strategy in Any::all() {
            let size = Size::quick(seed).failure;
            let outcome = failure::outcome(strategy.clone(), Trouble::Waves, probed, size);
            let [refused, broke_off] = [false, true].map(|broke_off| outcome.failed(broke_off));
            assert!(refused < 0.003, "{strategy}: {refused}");
            assert!(broke_off < 0.02, "{strategy}: {broke_off}");
            let attempts = outcome.asked as f64 / outcome.told.len() as f64;
            assert!(attempts < 1.03, "{strategy}: {attempts}, a storm");
            // Once when it fails, and once when it is probed too early.
            assert!(outcome.trips <= 2 * size.instances as u64, "{strategy}: {}", outcome.trips);
            let end = outcome.seconds.last().unwrap();
            assert!(end.open + end.failed <= 0.0, "{strategy}: {end:?}");
        }
    }
}

#[test]
fn those_that_come_back_are_not_sent_more_than_the_others_have() {
    for seed in SEEDS {
        let size = Size::quick(seed).failure;
        for strategy in [Any::least_connections(), Any::all()[3].clone()] {
            let outcome = failure::outcome(strategy, Trouble::Waves, false, size);
            for (at, second) in outcome.seconds.iter().enumerate() {
                assert!(second.returned[1] <= second.survivors[1] + 3.0, "{at}: {second:?}");
            }
        }
    }
}

#[test]
fn a_black_hole_swallows_nobody() {
    for (seed, percent) in SEEDS.into_iter().zip([100, 50, 80]) {
        for strategy in Any::all() {
            let size = Size::quick(seed).failure;
            let trouble = Trouble::BlackHole(percent);
            let outcome = failure::outcome(strategy.clone(), trouble, false, size);
            let failed = outcome.failed(false) + outcome.failed(true);
            assert!(failed < 0.002, "{strategy}: {failed}");
            assert!(outcome.drawn() < 0.12, "{strategy}: {} to two of twenty", outcome.drawn());
        }
    }
}

#[test]
fn a_limit_per_client_takes_no_more_memory_and_errs_on_the_side_of_refusing() {
    let size = Size::quick(7).memory;
    let few = memory::outcome(20_000, Some(64), size);
    let enough = memory::outcome(20_000, Some(1 << 17), size);
    // Who is short of being as good as new by less than a clock can tell may be forgotten.
    assert!(few.passed_wrongly.max(enough.passed_wrongly) < 5, "{few:?}, {enough:?}");
    assert!(few.bytes <= 64 * 16 + 1024, "{few:?}");
    // In blocks, each of which the allocator adds a little to.
    let most = (16 << 17) * 104 / 100;
    assert!(few.refused_wrongly > 10_000, "newcomers without a place share one limit: {few:?}");
    assert!(enough.refused_wrongly < 20 && enough.bytes <= most, "{enough:?}");
}

#[test]
fn a_pool_is_in_the_situation_it_is_said_to_be_in() {
    for strategy in Any::all() {
        for (situation, name) in Situation::ALL {
            let mut pool = Pool::new(strategy.clone(), 50, situation);
            let answered = (0..100).filter(|_| pool.ask()).count();
            let expected = if situation == Situation::AllOpen { 0 } else { 100 };
            assert_eq!(answered, expected, "{strategy}, {name}");
        }
    }
}
