//! Which instances a request has been to.

/// The most attempts a request can be allowed.
pub(super) const MOST_ATTEMPTS: usize = 8;

/// Instances that were asked, or that refused before anything was sent to them. Those of pools of
/// any usual size cost no allocation.
///
/// A bit for each, so that a request that every one of a thousand instances refuses does not look
/// through all of them again for each of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tried {
    first: u64,
    more: Vec<u64>,
    count: u16,
    last: u16,
}

impl Tried {
    pub(super) fn contains(&self, index: usize) -> bool {
        let word = match index / 64 {
            0 => self.first,
            nth => self.more.get(nth - 1).copied().unwrap_or(0),
        };
        word & 1 << (index % 64) != 0
    }

    /// A bit for each that has one. What has none is found out by asking.
    pub(super) fn bits(&self) -> u64 {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.count.into()
    }

    /// The last of them.
    pub(super) fn last(&self) -> usize {
        self.last.into()
    }

    pub(super) fn push(&mut self, index: usize) {
        let word = match index / 64 {
            0 => &mut self.first,
            nth => {
                self.more.resize(self.more.len().max(nth), 0);
                &mut self.more[nth - 1]
            }
        };
        *word |= 1 << (index % 64);
        // A pool holds at most `u16::MAX` instances: checked where it is built.
        (self.count, self.last) = (self.count.saturating_add(1), index as u16);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_instances_is_remembered() {
        let mut tried = Tried::default();
        for index in (0..200).step_by(2) {
            tried.push(index);
        }
        assert!(
            (0..300)
                .all(|index| { tried.contains(index) == (index < 200 && index.is_multiple_of(2)) })
        );
        assert_eq!((tried.count(), tried.last()), (100, 198));
    }
}
