//! HTTP/2 on both sides of the program: a caller, an engine, and exact frames in the place of either.

pub mod between;
pub mod caller;
mod engine;
mod frames;

pub use caller::{Caller, Reply, post};
pub use engine::{Asked, Engine, Happened, Order};
pub use frames::{Frame, Frames, kind, request};
