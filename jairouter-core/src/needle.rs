//! A [`Needle`]: a text that is looked for in every frame.

use std::sync::OnceLock;

use memchr::memmem::Finder;

/// A text that is looked for again and again: a cheap look at what may not have to be parsed.
///
/// `memmem::find` makes itself ready for its text each time, which in an event of the usual 200 bytes costs more than
/// the search.
///
/// ```
/// use jairouter_core::translate::Needle;
///
/// static ERROR: Needle = Needle::new(b"\"error\"");
///
/// assert_eq!(ERROR.find(br#"{"error":null}"#), Some(1));
/// assert!(!ERROR.is_in(br#"{"choices":[]}"#));
/// ```
#[derive(Debug)]
pub struct Needle {
    text: &'static [u8],
    finder: OnceLock<Finder<'static>>,
}

impl Needle {
    /// This one, for a `static`.
    pub const fn new(text: &'static [u8]) -> Self {
        Self { text, finder: OnceLock::new() }
    }

    /// How many bytes it has.
    pub const fn length(&self) -> usize {
        self.text.len()
    }

    /// Whether it stands there at all.
    pub fn is_in(&self, haystack: &[u8]) -> bool {
        self.find(haystack).is_some()
    }

    /// Where it first stands.
    pub fn find(&self, haystack: &[u8]) -> Option<usize> {
        self.finder().find(haystack)
    }

    /// Where it last stands. From the front all the same: only that way is the search vectorised, and in
    /// nearly every frame it is not there at all.
    pub fn rfind(&self, haystack: &[u8]) -> Option<usize> {
        let mut last = self.find(haystack)?;
        while let Some(at) = self.find(&haystack[last + 1..]) {
            last += 1 + at;
        }
        Some(last)
    }

    /// Wherever it stands, but for where it overlaps itself.
    pub fn find_iter<'a>(&'a self, haystack: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.finder().find_iter(haystack)
    }

    fn finder(&self) -> &Finder<'static> {
        self.finder.get_or_init(|| Finder::new(self.text))
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem;
    use proptest::prelude::*;

    use super::*;

    static NEEDLE: Needle = Needle::new(b"aba");

    proptest! {
        #[test]
        fn it_is_found_where_memmem_finds_it(haystack in "[abc]{0,200}") {
            let haystack = haystack.as_bytes();
            prop_assert_eq!(NEEDLE.find(haystack), memmem::find(haystack, b"aba"));
            prop_assert_eq!(NEEDLE.rfind(haystack), memmem::rfind(haystack, b"aba"));
            let all: Vec<_> = NEEDLE.find_iter(haystack).collect();
            prop_assert_eq!(all, memmem::find_iter(haystack, b"aba").collect::<Vec<_>>());
        }
    }
}
