//! Any evidence in any order, against a health that is written down plainly.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Refused,
    Answered,
    Unauthorized,
    Drain(bool),
    Join,
    Leave,
    /// Sends a probe.
    Send,
    /// One of those under way comes back.
    Return(usize, Outcome),
    /// One that is sent now and comes back at once.
    Probe(Outcome),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = || {
        prop_oneof![
            4 => Just(Outcome::Good),
            2 => Just(Outcome::Busy),
            2 => Just(Outcome::Unauthorized),
            1 => Just(Outcome::Refused),
            4 => Just(Outcome::Failed),
            2 => Just(Outcome::TimedOut),
        ]
    };
    let step = prop_oneof![
        2 => Just(Step::Refused),
        2 => Just(Step::Answered),
        2 => Just(Step::Unauthorized),
        1 => any::<bool>().prop_map(Step::Drain),
        2 => Just(Step::Join),
        1 => Just(Step::Leave),
        2 => Just(Step::Send),
        3 => (any::<usize>(), outcome()).prop_map(|(nth, outcome)| Step::Return(nth, outcome)),
        8 => outcome().prop_map(Step::Probe),
        4 => (0_u64..20_000).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..200)
}

/// All that is known, without a bit of it packed.
struct Model {
    settings: Settings,
    now: u64,
    probers: u32,
    draining: bool,
    state: State,
    /// How often something else was found.
    news: usize,
    /// Each status it has had, and from when.
    history: Vec<(u64, Status)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Fine { busy: bool, failures: u32 },
    Denied { by_request: bool, failures: u32 },
    Down { successes: u32 },
}

impl Model {
    fn new(settings: Settings) -> Self {
        let state = State::Fine { busy: false, failures: 0 };
        let history = vec![(0, Status::Up)];
        Self { settings, now: 0, probers: 0, draining: false, state, news: 0, history }
    }

    fn status(&self) -> Status {
        match self.state {
            _ if self.draining => Status::Draining,
            _ if self.probers == 0 => Status::Up,
            State::Fine { busy: false, .. } => Status::Up,
            State::Fine { busy: true, .. } => Status::Busy,
            State::Denied { .. } => Status::Misconfigured,
            State::Down { .. } => Status::Down,
        }
    }

    fn since(&self) -> u64 {
        self.history.last().unwrap().0
    }

    fn enter(&mut self, state: State) {
        let same = match (self.state, state) {
            (State::Fine { busy: old, .. }, State::Fine { busy: new, .. }) => old == new,
            (State::Denied { by_request: old, .. }, State::Denied { by_request: new, .. }) => {
                old == new
            }
            (State::Down { .. }, State::Down { .. }) => true,
            _ => false,
        };
        self.news += usize::from(!same);
        self.state = state;
    }

    fn probed(&mut self, outcome: Outcome) {
        let (down, up) = (State::Down { successes: 0 }, &self.settings);
        let answers = !matches!(outcome, Outcome::Refused | Outcome::Failed | Outcome::TimedOut);
        let found = match outcome {
            Outcome::Unauthorized => State::Denied { by_request: false, failures: 0 },
            _ => State::Fine { busy: outcome == Outcome::Busy, failures: 0 },
        };
        let failed = |failures: u32| failures + 1 >= up.failure_threshold;
        let next = match self.state {
            _ if outcome == Outcome::Refused => down,
            State::Down { successes } if answers && successes + 1 < up.success_threshold => {
                State::Down { successes: successes + 1 }
            }
            State::Down { .. } if !answers => down,
            State::Denied { by_request: true, .. }
                if matches!(found, State::Fine { .. })
                    && answers
                    && self.now - self.since() < 30_000 =>
            {
                State::Denied { by_request: true, failures: 0 }
            }
            _ if answers => found,
            State::Fine { failures, .. } | State::Denied { failures, .. } if failed(failures) => {
                down
            }
            State::Fine { busy, failures } => State::Fine { busy, failures: failures + 1 },
            State::Denied { by_request, failures } => {
                State::Denied { by_request, failures: failures + 1 }
            }
            State::Down { .. } => unreachable!("said above"),
        };
        if self.probers > 0 {
            self.enter(next);
        }
    }

    fn request(&mut self, step: Step) {
        let probed = self.probers > 0;
        match (step, self.state) {
            (Step::Refused, _) if probed => self.enter(State::Down { successes: 0 }),
            (Step::Answered, State::Fine { busy, .. }) => {
                self.enter(State::Fine { busy, failures: 0 });
            }
            (Step::Answered, State::Denied { by_request: false, .. }) => {
                self.enter(State::Denied { by_request: false, failures: 0 });
            }
            (Step::Answered, State::Denied { by_request: true, .. }) => {
                self.enter(State::Fine { busy: false, failures: 0 });
            }
            (Step::Unauthorized, State::Fine { .. }) if probed => {
                self.enter(State::Denied { by_request: true, failures: 0 });
            }
            _ => {}
        }
    }
}

fn play(steps: Vec<Step>, settings: &Settings) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let health = Arc::new(Health::new());
        let mut model = Model::new(settings.clone());
        let (mut probers, mut out) = (vec![health.probing()], Vec::new());
        model.probers = 1;
        for step in steps {
            let now = Instant::now();
            match step {
                Step::Refused => health.refused(now),
                Step::Answered => health.answered(now),
                Step::Unauthorized => health.unauthorized(now),
                Step::Drain(draining) => health.set_draining(draining),
                Step::Join if probers.len() < 63 => probers.push(health.probing()),
                Step::Leave => drop(probers.pop()),
                Step::Send => out.push((health.look(), model.news)),
                _ => {}
            }
            let verdict = match step {
                Step::Probe(outcome) => Some((health.look(), model.news, outcome)),
                Step::Return(nth, outcome) if !out.is_empty() => {
                    let (look, news) = out.swap_remove(nth % out.len());
                    Some((look, news, outcome))
                }
                _ => None,
            };
            let before = model.status();
            match step {
                Step::Drain(draining) => model.draining = draining,
                Step::Wait(millis) => {
                    tokio::time::advance(Duration::from_millis(millis)).await;
                    model.now += millis;
                }
                _ => model.request(step),
            }
            model.probers = probers.len() as u32;
            if let Some((look, news, outcome)) = verdict {
                let change = health.probed(look, outcome, settings, now);
                if news == model.news {
                    model.probed(outcome);
                }
                let told = change.map(|change| (change.from, change.to));
                let expected = (before != model.status()).then_some((before, model.status()));
                prop_assert_eq!(told, expected, "of {:?}", step);
            }
            if model.status() != before {
                model.history.push((model.now, model.status()));
            }
            let now = Instant::now();
            prop_assert_eq!(health.status(), model.status(), "after {:?}", step);
            let since = Duration::from_millis(model.now - model.since());
            prop_assert_eq!(health.since(now), since, "after {:?}", step);
            prop_assert_eq!(health.is_probed(), !probers.is_empty(), "after {:?}", step);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_health_is_its_model(steps in steps(), failures in 1_u32..4, successes in 1_u32..4) {
        let settings = Settings::default();
        let settings = settings.with_failure_threshold(failures);
        play(steps, &settings.with_success_threshold(successes))?;
    }
}
