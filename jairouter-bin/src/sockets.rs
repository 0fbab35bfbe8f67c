//! Which sockets are served: those that were handed to the program, or new ones.

use std::io;
use std::net::{SocketAddr, TcpListener};

use jairouter_config::config::{Config, Management};

use crate::server::{Inherited, Listeners, Operators, addresses};

/// How many ports above the usual one are tried where no configuration names one.
const SPARE_PORTS: u16 = 10;

/// Listens to callers and, if there are to be any, to operators.
///
/// # Errors
///
/// Why it cannot, as text.
pub(crate) fn listen(
    config: &Config,
    workers: usize,
    inherited: &mut Inherited,
) -> Result<(Listeners, Option<Operators>), String> {
    let held = inherited.held;
    let server = &config.server;
    let is_near = config.text.is_none();
    let fits = |at: SocketAddr| {
        at.ip() == server.address && (is_near || server.port == 0 || server.port == at.port())
    };
    let callers = take(&mut inherited.callers, held, fits);
    let listeners = match callers.is_empty() {
        true => bind(config, workers)?,
        false => Listeners::inherited(callers, workers, held)
            .map_err(|error| format!("what was inherited is not served: {error}"))?,
    };
    let operators = match operators(&config.management, is_near, inherited) {
        // Nobody asked for them by name.
        Err(_) if is_near => None,
        operators => operators?,
    };
    Ok((listeners, operators))
}

/// Says which sockets there were, once there is a log.
pub(crate) fn tell(inherited: &Inherited, listeners: &Listeners) {
    if inherited.held {
        let address = listeners.address();
        tracing::info!(%address, "the sockets are a supervisor's: where they listen is not ours to say");
    }
    // What was taken is gone from there.
    if !inherited.is_empty() {
        let callers = addresses(&inherited.callers);
        let operators = addresses(&inherited.operators);
        tracing::warn!(callers, operators, "these sockets were inherited, and are not served");
    }
}

/// The sockets that are to be served: if nobody else holds them, those where the configuration says.
fn take(
    sockets: &mut Vec<TcpListener>,
    held: bool,
    fits: impl Fn(SocketAddr) -> bool,
) -> Vec<TcpListener> {
    let fits = |socket: &TcpListener| socket.local_addr().is_ok_and(&fits);
    let (served, others) =
        std::mem::take(sockets).into_iter().partition(|socket| held || fits(socket));
    *sockets = others;
    served
}

/// The listener of operators, if there is to be one.
fn operators(
    management: &Management,
    is_near: bool,
    inherited: &mut Inherited,
) -> Result<Option<Operators>, String> {
    if !management.enabled {
        return Ok(None);
    }
    let (address, port) = (management.address, management.port);
    let fits = |at: SocketAddr| at.ip() == address && (is_near || port == 0 || port == at.port());
    let most = if is_near { port.saturating_add(SPARE_PORTS) } else { port };
    let mut bound = (port..=most).map(|port| Operators::bind(SocketAddr::new(address, port)));
    let operators = match take(&mut inherited.operators, inherited.held, fits).pop() {
        Some(socket) => Operators::inherited(socket),
        None => bound
            .find(Result::is_ok)
            .unwrap_or_else(|| Operators::bind(SocketAddr::new(address, port))),
    };
    operators
        .map(Some)
        .map_err(|error| format!("cannot listen on {address} port {port} for operators: {error}"))
}

fn bind(config: &Config, workers: usize) -> Result<Listeners, String> {
    let (address, port) = (config.server.address, config.server.port);
    // The usual port is also that of engines found here, and nobody asked for it by name.
    let ports = port..=if config.text.is_some() { port } else { port.saturating_add(SPARE_PORTS) };
    let mut last = None;
    for port in ports {
        match Listeners::bind(SocketAddr::new(address, port), workers) {
            Ok(listeners) => return Ok(listeners),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = Some(error),
            Err(error) => return Err(format!("cannot listen on {address} port {port}: {error}")),
        }
    }
    let hint = "another program listens there; set server.port to a free one, or 0 for any";
    let reason = last.map_or(String::new(), |error| format!(": {error}"));
    Err(format!("cannot listen on {address} port {port}{reason} ({hint})"))
}
