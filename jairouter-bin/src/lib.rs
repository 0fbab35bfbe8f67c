//! What the program `jairouter` is made of: YAML, sockets and logs around the library's stack.

pub mod app;
pub mod authorize;
pub mod cli;
pub mod config;
pub mod discover;
mod doctor;
mod govern;
mod greeting;
mod import;
pub mod jwt;
mod kept;
pub mod keys;
pub mod live;
pub mod local;
pub mod log;
pub mod metrics;
mod neighbours;
mod reasons;
pub mod reload;
mod schema;
pub mod server;
pub mod stack;
pub mod transport;
pub mod watch;
