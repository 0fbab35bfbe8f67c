//! The ids of traces and spans, and where new ones come from.

use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::num::{NonZeroU64, NonZeroU128};

use fastrand::Rng;

use super::context::write_hex;

/// The id of a trace: 16 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(NonZeroU128);

/// The id of a span: 8 bytes, not all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    pub(super) fn new() -> Self {
        loop {
            let number = u128::from(random()) << 64 | u128::from(random());
            if let Some(id) = Self::from_u128(number) {
                return id;
            }
        }
    }

    pub(super) const fn from_u128(number: u128) -> Option<Self> {
        match NonZeroU128::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// As a number, its first byte the highest.
    pub const fn to_u128(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    pub(super) fn new() -> Self {
        loop {
            if let Some(id) = Self::from_u64(random()) {
                return id;
            }
        }
    }

    pub(super) const fn from_u64(number: u64) -> Option<Self> {
        match NonZeroU64::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// As a number, its first byte the highest.
    pub const fn to_u64(self) -> u64 {
        self.0.get()
    }
}

/// 64 bits that nobody else has: of two generators of this thread's, seeded from the system once. One has
/// a state of 64 bits, of which threads enough in the world would come to share one.
pub(crate) fn random() -> u64 {
    thread_local! {
        static GENERATORS: RefCell<[Rng; 2]> = RefCell::new([seeded(), seeded()]);
    }
    GENERATORS.with_borrow_mut(|[one, other]| one.u64(..) ^ other.u64(..).rotate_left(32))
}

/// The standard library asks the system for the keys of its maps.
fn seeded() -> Rng {
    Rng::with_seed(RandomState::new().build_hasher().finish())
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 32];
        write_hex(&self.0.get().to_be_bytes(), &mut digits);
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 16];
        write_hex(&self.0.get().to_be_bytes(), &mut digits);
        f.write_str(str::from_utf8(&digits).unwrap_or_default())
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn no_id_comes_twice_on_any_thread() {
        let ids = || (0..20_000).map(|_| (TraceId::new(), SpanId::new())).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(ids)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|one| one.join().unwrap()).collect();
        let traces: HashSet<_> = all.iter().map(|(trace, _)| trace).collect();
        let spans: HashSet<_> = all.iter().map(|(_, span)| span).collect();
        assert_eq!((traces.len(), spans.len()), (80_000, 80_000));
    }

    #[test]
    fn an_id_is_written_in_all_its_digits() {
        assert_eq!(TraceId::from_u128(1).unwrap().to_string(), format!("{}1", "0".repeat(31)));
        assert_eq!(SpanId::from_u64(0xab).unwrap().to_string(), "00000000000000ab");
        assert!(TraceId::from_u128(0).is_none() && SpanId::from_u64(0).is_none());
    }
}
