//! Ids of tool calls, each of which is one of a kind within its answer.

use std::collections::BTreeSet;

use jairouter_openai::answer::random;

/// The ids that have been given.
#[derive(Default)]
pub(crate) struct Ids(BTreeSet<String>);

impl Ids {
    /// The engine's own id, or another if that is none or has been given.
    pub(crate) fn next(&mut self, own: &str) -> String {
        let is_new = !own.is_empty() && self.0.insert(own.to_owned());
        if is_new { own.to_owned() } else { format!("call_{:016x}", random()) }
    }
}
