//! Any sequence of doings, against the model.

use proptest::prelude::*;

use super::model::{Model, modelled};
use super::*;

/// A permit, and what the model knows of it.
struct Held {
    permit: Permit,
    born: usize,
    probe: bool,
    answered: bool,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Admit,
    Answer(usize),
    Succeed(usize),
    Fail(usize),
    Drop(usize),
    Wait(u64),
    ProbeSoon,
    Reset,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Admit),
        2 => any::<usize>().prop_map(Step::Answer),
        3 => any::<usize>().prop_map(Step::Succeed),
        6 => any::<usize>().prop_map(Step::Fail),
        2 => any::<usize>().prop_map(Step::Drop),
        4 => (0_u64..4000).prop_map(Step::Wait),
        1 => (0_u64..60_000).prop_map(Step::Wait),
        1 => Just(Step::ProbeSoon),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 1..300)
}

/// Does a step to both.
fn step(model: &mut Model, breaker: &Arc<Breaker>, held: &mut Vec<Held>, at: Instant, step: Step) {
    let mut take = |nth: usize| (!held.is_empty()).then(|| held.swap_remove(nth % held.len()));
    match step {
        Step::Admit => {
            let (wait, admitted) = (model.wait(), model.admit());
            let permit = breaker.admit(at);
            assert_eq!(permit.as_ref().err().map(|open| open.retry_after()), wait);
            assert_eq!(permit.is_ok(), admitted);
            if let Ok(permit) = permit {
                let probe = permit.is_probe();
                assert_eq!(probe, model.state() == State::HalfOpen);
                held.push(Held { permit, born: model.changes, probe, answered: false });
            }
        }
        Step::Answer(nth) => {
            if let Some(mut one) = take(nth) {
                one.permit.answered(at);
                if !one.answered && one.probe && one.born == model.changes {
                    model.succeed();
                }
                one.answered = true;
                held.push(one);
            }
        }
        Step::Succeed(nth) => {
            if let Some(one) = take(nth) {
                one.permit.success(at);
                if one.born == model.changes && !(one.probe && one.answered) {
                    model.succeed();
                }
            }
        }
        Step::Fail(nth) => {
            if let Some(one) = take(nth) {
                one.permit.failure(at);
                if one.born == model.changes {
                    model.fail();
                }
            }
        }
        Step::Drop(nth) => {
            if let Some(one) = take(nth) {
                drop(one.permit);
                match (one.born == model.changes, one.probe, one.answered) {
                    (true, true, false) => model.give_back(),
                    (true, false, true) => model.succeed(),
                    _ => {}
                }
            }
        }
        Step::Wait(_) => {}
        Step::ProbeSoon => {
            breaker.probe_soon(at);
            model.probe_soon();
        }
        Step::Reset => {
            breaker.reset();
            model.reset();
        }
    }
}

fn play(steps: Vec<Step>, settings: Settings) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let breaker = breaker(settings);
        let mut model = Model::new(settings);
        let mut held = Vec::new();
        for each in steps {
            if let Step::Wait(millis) = each {
                advance(Duration::from_millis(millis)).await;
                model.now += Duration::from_millis(millis);
            }
            step(&mut model, &breaker, &mut held, now(), each);
            prop_assert_eq!(breaker.state(now()), model.state(), "after {:?}", each);
            prop_assert_eq!(breaker.would_refuse(now()), model.wait(), "after {:?}", each);
            prop_assert_eq!(breaker.trips(), model.trips, "after {:?}", each);
        }
        drop(held);
        let limbo =
            breaker.state(now()) == State::HalfOpen && breaker.would_refuse(now()).is_some();
        prop_assert!(!limbo, "whatever was held is given back");
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_breaker_that_counts_rows_is_its_model(steps in steps(), probes in 1_u32..4) {
        play(steps, modelled().with_success_threshold(probes))?;
    }

    #[test]
    fn a_breaker_that_counts_a_window_is_its_model(steps in steps(), probes in 1_u32..4) {
        let settings = modelled().with_failure_threshold(6).with_failure_rate(0.5);
        play(steps, settings.with_success_threshold(probes))?;
    }
}
