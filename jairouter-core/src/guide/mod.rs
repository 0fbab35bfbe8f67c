//! How to [embed](embedding), [compose](composing) and [extend](extending) it, in three chapters.
//!
//! Every program in them is compiled. The [examples] are whole programs, which run with their output checked.
//!
//! [examples]: https://github.com/jairouter/jairouter/tree/main/examples

#[doc = include_str!("embedding.md")]
pub mod embedding {}

#[doc = include_str!("composing.md")]
pub mod composing {}

#[doc = include_str!("extending.md")]
pub mod extending {}
