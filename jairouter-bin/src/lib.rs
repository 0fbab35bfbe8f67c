//! What the program `jairouter` is made of: YAML, sockets and logs around the library's stack.

#![cfg_attr(docsrs, feature(doc_cfg))]

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
mod import;
pub mod jwt;
mod kept;
pub mod keys;
pub mod live;
pub mod local;
pub mod log;
pub mod metrics;
mod neighbours;
mod panics;
mod reasons;
pub mod reload;
mod schema;
pub mod server;
mod sockets;
pub mod stack;
mod status;
pub mod transport;
pub mod watch;
