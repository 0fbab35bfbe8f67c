//! Ways of embedding JAiRouter, one file each. `cargo run -p jairouter-examples --example NAME`:
//!
//! * `embed_in_axum`: the gateway inside an axum service, beside routes of its own;
//! * `custom_backend`: a framework of somebody else's, behind the gateway and in the kit;
//! * `custom_stack`: a stack by hand, of tower-http's layers, one of the example's and ours;
//! * `governed_stack`: limits, breakers, a waiting room and a fallback, composed by hand.

// Its examples are compiled, too.
#[cfg(doctest)]
#[doc = include_str!("../docs/writing-a-backend.md")]
struct WritingABackend;

#[cfg(doctest)]
#[doc = include_str!("../docs/writing-a-layer.md")]
struct WritingALayer;
