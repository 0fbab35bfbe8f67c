//! Logs: for people on a terminal, JSON lines otherwise, on standard error either way.
//!
//! They are written by a thread of their own. When whoever reads them falls behind, lines are
//! dropped and no request waits. They hold names, numbers and reasons: never a prompt, an answer,
//! a header or a key.

use std::io::{self, IsTerminal};

use jairouter_core::observe::Exchange;
use jairouter_core::{Attempt, End, Kind};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Begins to log. What is logged is written out when the guard is dropped.
#[must_use = "dropping the guard ends the log"]
pub fn init(log: &Log) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default().lossy(true).finish(io::stderr());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(&log.level));
    let is_terminal = io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let human = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    // A second call keeps the first log: there is one a process.
    let _ = if human {
        builder.with_ansi(is_terminal).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    guard
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
