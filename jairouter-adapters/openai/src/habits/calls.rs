//! Tool calls: an id each, said once.

use std::collections::BTreeSet;

use jairouter_core::Error;

use super::{Habits, REPEATED_DELTAS, SHARED_TOOL_IDS};
use crate::answer;
use crate::fields::Fields;

/// The calls of one choice that have begun.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begun: BTreeSet<u64>,
}

impl Calls {
    pub(super) fn any(&self) -> bool {
        !self.begun.is_empty()
    }

    /// Mends one call of a list, or a piece of one; true if it was changed.
    pub(super) fn mend(
        &mut self,
        habits: Habits,
        place: usize,
        call: &mut Fields<'_>,
        is_piece: bool,
    ) -> Result<bool, Error> {
        let index = call.given("index").and_then(|index| index.get().parse().ok());
        let is_first = self.begun.insert(index.unwrap_or(place as u64));
        if !habits.has(REPEATED_DELTAS | SHARED_TOOL_IDS) {
            return Ok(false);
        }
        let mut changed = false;
        if is_first || !is_piece {
            if habits.has(SHARED_TOOL_IDS) || !call.says("id") {
                call.set("id", &answer::id("call_"));
                changed = true;
            }
            if is_piece && index.is_none() {
                call.set("index", &place);
                changed = true;
            }
        } else {
            changed |= call.take("id").is_some() | call.take("type").is_some();
        }
        changed |= call.within("function", |function| {
            let is_nameless = !function.says("name") && function.take("name").is_some();
            // Of a tool, not of its call.
            Ok(is_nameless | function.take("description").is_some())
        })?;
        Ok(changed)
    }
}
