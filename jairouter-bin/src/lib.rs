//! What the program `jairouter` is made of: sockets, logs, metrics and operators around the stack of
//! `jairouter-config`.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admin;
pub mod app;
pub mod cli;
mod doctor;
mod export;
mod greeting;
mod import;
pub mod local;
pub mod log;
pub mod metrics;
mod panics;
pub mod program;
pub mod reload;
pub mod server;
mod sockets;
mod status;
