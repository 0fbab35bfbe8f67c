//! The status page: one file, which needs nothing else.

/// What a browser is shown.
pub(crate) const PAGE: &str = include_str!("page.html");
