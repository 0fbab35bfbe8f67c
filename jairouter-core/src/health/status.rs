use std::fmt;

/// How an instance is. See the [module](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// It answers, or nobody has looked. To be asked.
    Up,
    /// It does not answer, or says that it cannot work. Not to be asked.
    Down,
    /// It answers that it has much to do. To be asked: what it does next, it knows best.
    Busy,
    /// It answers, and refuses our key. To be asked if no other is left: it may be a mistake, and its
    /// refusal tells the caller more than ours.
    Misconfigured,
    /// An operator has taken it out. Not to be asked, whatever else is known; what it is working on,
    /// it finishes.
    Draining,
}

/// A status that has become another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Change {
    /// What it was.
    pub from: Status,
    /// What it is.
    pub to: Status,
}

// === impl Status ===

impl Status {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Up, Self::Down, Self::Busy, Self::Misconfigured, Self::Draining];

    /// Its name, as logs and metrics spell it: `up`, `down`, `busy`, `misconfigured`, `draining`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Busy => "busy",
            Self::Misconfigured => "misconfigured",
            Self::Draining => "draining",
        }
    }

    /// Whether requests may be sent to it.
    pub const fn may_be_asked(self) -> bool {
        matches!(self, Self::Up | Self::Busy)
    }

    /// Whether requests may be sent to it when there is no instance left that
    /// [may be asked](Self::may_be_asked).
    pub const fn is_last_resort(self) -> bool {
        matches!(self, Self::Misconfigured)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Change ===

impl Change {
    /// The change from one status to another, unless they are the same.
    pub(super) fn between(from: Status, to: Status) -> Option<Self> {
        (from != to).then_some(Self { from, to })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to)
    }
}
