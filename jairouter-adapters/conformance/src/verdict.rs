use std::fmt;

/// What a check has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a verdict says what is wrong"]
pub struct Verdict {
    checked: usize,
    failures: Vec<Failure>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The exchange it was seen in.
    pub case: String,
    /// What was seen, and what should have been.
    pub what: String,
}

impl Verdict {
    /// How many cases were checked.
    pub const fn checked(&self) -> usize {
        self.checked
    }

    /// Everything that is wrong.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// Both together.
    pub fn and(mut self, other: Self) -> Self {
        self.checked += other.checked;
        self.failures.extend(other.failures);
        self
    }

    /// # Panics
    ///
    /// If anything is wrong, with all of it, or if fewer cases were checked than these.
    #[track_caller]
    pub fn assert(self, at_least: usize) {
        assert!(self.failures.is_empty(), "{self}");
        assert!(self.checked >= at_least, "{} were checked, and not {at_least}", self.checked);
    }

    pub(crate) fn add(&mut self, case: &str, failures: Vec<String>) {
        self.checked += 1;
        let failure = |what| Failure { case: case.to_owned(), what };
        self.failures.extend(failures.into_iter().map(failure));
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} checked, {} wrong", self.checked, self.failures.len())?;
        for Failure { case, what } in &self.failures {
            write!(f, "\n{case}: {what}")?;
        }
        Ok(())
    }
}
