//! Logs: for people on a terminal, JSON lines otherwise, on standard error either way.
//!
//! They are written by a thread of their own. When whoever reads them falls behind, lines are
//! dropped and counted, and no request waits. They hold names, numbers and reasons: never a prompt, an
//! answer, a header or a key.

mod json;
mod writer;

use std::env;
use std::io::{self, IsTerminal};
use std::sync::Arc;

use jairouter_config::config::{Log, LogFormat};
use jairouter_core::balance::{FailedAttempt, InstanceState};
use jairouter_core::observe::Exchange;
use jairouter_core::trace::Trace;
use jairouter_core::{Attempt, End, Kind};
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use writer::Guard;
pub(crate) use writer::dropped;

/// Begins to log. What is logged is written out when the guard is dropped, if somebody reads it.
///
/// # Errors
///
/// If there is no thread to be had for it.
pub fn init(log: &Log) -> io::Result<Guard> {
    let (lines, guard) = writer::start(io::stderr())?;
    let lines = Arc::new(lines);
    let (filter, wrong) = filter(env::var("RUST_LOG").ok().as_deref(), &log.level);
    let logged = tracing_subscriber::registry().with(filter);
    let is_terminal = io::stderr().is_terminal();
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    let layer = fmt::layer();
    // A second call keeps the first log: there is one a process.
    let begun = if human {
        let layer = layer.with_ansi(is_terminal).with_target(false).with_writer(lines);
        logged.with(layer).try_init()
    } else {
        logged.with(layer.event_format(json::Json).with_writer(lines)).try_init()
    };
    if let (Ok(()), Some(error)) = (begun, wrong) {
        tracing::warn!(error, "RUST_LOG is not understood, and the configured level counts");
    }
    Ok(guard)
}

/// What is logged: what the environment says, or else this level. And what is wrong with what it says.
fn filter(environment: Option<&str>, level: &str) -> (Targets, Option<String>) {
    let configured =
        || level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    match environment.map(str::trim).filter(|text| !text.is_empty()).map(str::parse) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => {
            let error: ParseError = error;
            (configured(), Some(error.to_string()))
        }
        None => (configured(), None),
    }
}

/// One line for each instance that was asked in vain, as it happens, and one if its breaker has opened.
pub(crate) fn attempt(failed: &FailedAttempt<'_>) {
    let request = failed.request;
    let id = request.headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let trace = request.trace.as_ref();
    tracing::info!(
        target: "attempt",
        request_id = id,
        trace_id = trace.map(trace_id),
        instance = failed.instance.id(),
        model = &*request.model,
        error = failed.kind.code(),
        took_ms = failed.took.as_millis() as u64,
        "an instance was asked in vain"
    );
    opened(failed.instance, id, trace);
}

/// A line if the breaker of this instance has opened, as it has for this request if for any.
pub(crate) fn opened(instance: &InstanceState, id: Option<&str>, trace: Option<&Trace>) {
    if let Some(breaker) = instance.breaker()
        && breaker.is_newly_open()
    {
        tracing::warn!(
            request_id = id,
            trace_id = trace.map(trace_id),
            instance = instance.id(),
            trips = breaker.trips(),
            "the circuit breaker has opened"
        );
    }
}

fn trace_id(trace: &Trace) -> impl tracing::Value {
    tracing::field::display(trace.id())
}

/// One line for each request, when it is over.
pub fn access(exchange: &Exchange) {
    let end = match exchange.end {
        End::Complete => "complete",
        End::Broken(_) => "failed",
        End::Abandoned => "caller left",
    };
    tracing::info!(
        target: "access",
        request_id = exchange.request_id.as_deref(),
        trace_id = exchange.trace.as_ref().map(trace_id),
        endpoint = exchange.endpoint.path(),
        model = &*exchange.model,
        stream = exchange.stream,
        instance = exchange.instance.as_deref(),
        status = exchange.status.as_u16(),
        error = exchange.error.map(Kind::code),
        attempts = (!exchange.attempts.is_empty()).then(|| attempts(&exchange.attempts)),
        first_ms = exchange.first.map(|first| first.as_millis() as u64),
        total_ms = exchange.total.as_millis() as u64,
        bytes = exchange.bytes,
        input_tokens = exchange.usage.map(|usage| usage.input),
        output_tokens = exchange.usage.map(|usage| usage.output),
        client = exchange.client.map(tracing::field::display),
        key = exchange.principal.as_deref(),
        end,
    );
}

/// What was asked in vain: `a: upstream_broken after 12 ms, b: …`.
fn attempts(attempts: &[Attempt]) -> String {
    let one = |attempt: &Attempt| {
        let (kind, took) = (attempt.kind.code(), attempt.took.as_millis());
        format!("{}: {kind} after {took} ms", attempt.instance)
    };
    attempts.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_environment_says_what_is_logged_or_else_the_configuration() {
        for (environment, level, target, expected) in [
            (None, "info", "a", Some(Level::INFO)),
            (Some(" "), "warn", "a", Some(Level::WARN)),
            (Some("debug"), "info", "a", Some(Level::DEBUG)),
            (Some("access=off,info"), "error", "a", Some(Level::INFO)),
            (Some("access=off,info"), "error", "access", None),
            (Some("access=warn"), "error", "access", Some(Level::WARN)),
        ] {
            let (filter, wrong) = filter(environment, level);
            assert_eq!(wrong, None);
            let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
            let most = levels.into_iter().rfind(|level| filter.would_enable(target, level));
            assert_eq!(most, expected, "{environment:?} {level} {target}");
        }
        let (filter, wrong) = filter(Some("info[span{x=1}]=yes=no"), "warn");
        assert!(wrong.is_some());
        assert!(filter.would_enable("a", &Level::WARN) && !filter.would_enable("a", &Level::INFO));
    }
}
