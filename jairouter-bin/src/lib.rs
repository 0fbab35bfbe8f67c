//! What the program `jairouter` is made of: YAML, sockets and logs around the library's stack.

mod admin;
pub mod app;
pub mod authorize;
pub mod caught;
pub mod cli;
pub mod config;
pub mod discover;
mod doctor;
mod export;
mod govern;
mod greeting;
mod kept;
pub mod keys;
pub mod live;
pub mod local;
pub mod log;
pub mod metrics;
mod panics;
mod reasons;
pub mod reload;
pub mod server;
mod sockets;
pub mod stack;
mod status;
pub mod transport;
pub mod watch;
