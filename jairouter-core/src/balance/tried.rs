//! Which instances a request has been to.

/// The most attempts a request can be allowed.
pub(super) const MOST_ATTEMPTS: usize = 8;

/// Instances that were asked, or that refused before anything was sent to them. Those of pools of
/// any usual size cost no allocation.
#[derive(Debug, Clone, Default)]
pub(super) struct Tried {
    /// A bit for each of the first.
    first: u64,
    more: Vec<u16>,
}

impl Tried {
    pub(super) fn contains(&self, index: usize) -> bool {
        match index {
            0..64 => self.first & 1 << index != 0,
            _ => self.more.iter().any(|tried| usize::from(*tried) == index),
        }
    }

    /// A bit for each that has one. What has none is found out by asking.
    pub(super) fn bits(&self) -> u64 {
        self.first
    }

    pub(super) fn is_empty(&self) -> bool {
        self.first == 0 && self.more.is_empty()
    }

    pub(super) fn push(&mut self, index: usize) {
        match index {
            0..64 => self.first |= 1 << index,
            // A pool holds at most `u16::MAX` instances: checked where it is built.
            _ => self.more.push(index as u16),
        }
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
        assert!((0..200).all(|index| tried.contains(index) == index.is_multiple_of(2)));
    }
}
