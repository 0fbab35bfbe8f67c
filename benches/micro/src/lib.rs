//! What the gateway itself costs, part by part, without a socket: one table of cases, which are timed by
//! `cargo bench -p jairouter-micro` and counted in instructions by `scripts/instructions.sh`.
//!
//! Nothing here waits. What an engine would do is done by a client in memory that answers at once, and a
//! case that needs a clock is made and run inside of a [`runtime`].

mod ask;
mod engine;
mod govern;
mod part;
mod peek;
mod program;
mod select;
mod splice;
mod stack;
mod streams;
mod translate;

use std::fmt;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

pub use part::Part;

/// Something to do again and again.
pub type Op = Box<dyn FnMut()>;

/// One thing whose cost is of interest.
pub struct Case {
    name: String,
    make: Box<dyn Fn() -> Op + Send + Sync>,
}

impl Case {
    /// A case that is called this below its part, and what makes it ready to be done.
    fn new<F: FnMut() + 'static>(
        name: impl Into<String>,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), make: Box::new(move || Box::new(make())) }
    }

    /// Makes it ready. What that costs is not the case's.
    #[must_use]
    pub fn ready(&self) -> Op {
        (self.make)()
    }
}

/// Its name, without that of its part.
impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A runtime to be entered while cases are made and run: tokio's timers ask for one.
///
/// # Panics
///
/// If the system has none to give.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

/// The output of a future that waits for nobody.
fn finish<F: Future>(future: F) -> F::Output {
    let (mut future, mut cx) = (pin!(future), Context::from_waker(Waker::noop()));
    // Whoever lets others go first is asked again.
    for _ in 0..1000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
    }
    panic!("a future waits for somebody who is not there");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_done_again_and_again() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let cases = Part::ALL.iter().flat_map(|part| part.cases());
        // It takes seconds to lay out so many instances on a circle, in a debug build.
        for case in cases.filter(|case| !case.to_string().ends_with("/10000")) {
            let mut op = case.ready();
            (0..3).for_each(|_| op());
        }
    }

    #[test]
    fn no_two_cases_have_one_name() {
        for part in Part::ALL {
            let mut names: Vec<_> = part.cases().iter().map(Case::to_string).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{part}");
        }
    }
}
