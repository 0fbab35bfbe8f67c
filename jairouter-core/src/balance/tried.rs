//! Which instances a request has been sent to.

/// The most attempts a request can be allowed.
pub(super) const MOST_ATTEMPTS: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tried {
    indices: [u16; MOST_ATTEMPTS],
    count: u8,
}

impl Tried {
    pub(super) fn count(&self) -> usize {
        self.count.into()
    }

    pub(super) fn contains(&self, index: usize) -> bool {
        self.indices[..self.count()].iter().any(|tried| usize::from(*tried) == index)
    }

    pub(super) fn push(&mut self, index: usize) {
        if let Some(slot) = self.indices.get_mut(usize::from(self.count)) {
            // A pool holds at most `u16::MAX` instances: checked where it is built.
            *slot = index as u16;
            self.count += 1;
        }
    }
}
