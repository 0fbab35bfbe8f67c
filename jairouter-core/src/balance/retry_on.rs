use crate::error::Kind;

/// Which failures of an instance are worth asking another one for.
///
/// What was refused before anything was sent moves on in any case, and so does a request whose
/// instance has not got the model or refuses the gateway's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOn(u8);

impl RetryOn {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// It could not be reached.
    pub const UNREACHABLE: Self = Self(1);
    /// It broke off before the first content.
    pub const BROKEN: Self = Self(2);
    /// Its first content did not come in time.
    pub const TIMEOUT: Self = Self(4);
    /// It answered 5xx.
    pub const FAILED: Self = Self(8);
    /// It said that it is busy.
    pub const BUSY: Self = Self(16);
    /// All of them: the default.
    pub const ALL: Self = Self(31);

    /// Each by its name.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("unreachable", Self::UNREACHABLE),
        ("broken", Self::BROKEN),
        ("timeout", Self::TIMEOUT),
        ("failed", Self::FAILED),
        ("busy", Self::BUSY),
    ];

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a failure of this kind is one of them.
    pub const fn contains(self, kind: Kind) -> bool {
        let one = match kind {
            Kind::Unreachable => Self::UNREACHABLE,
            Kind::Broken => Self::BROKEN,
            Kind::Timeout => Self::TIMEOUT,
            Kind::Failed => Self::FAILED,
            Kind::Busy => Self::BUSY,
            _ => return true,
        };
        self.0 & one.0 != 0
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_one_of_all_and_of_its_own() {
        let kinds = [Kind::Unreachable, Kind::Broken, Kind::Timeout, Kind::Failed, Kind::Busy];
        for ((_, on), kind) in RetryOn::NAMES.into_iter().zip(kinds) {
            assert!(
                on.contains(kind) && RetryOn::ALL.contains(kind) && !RetryOn::NONE.contains(kind)
            );
            assert_eq!(kinds.into_iter().filter(|kind| on.contains(*kind)).count(), 1);
        }
        assert!(RetryOn::NONE.contains(Kind::ModelAbsent));
    }
}
