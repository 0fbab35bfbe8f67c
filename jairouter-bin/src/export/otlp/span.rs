//! The spans of a request: one of the server for itself, one of a client for each instance it was sent to.
//!
//! They hold names, numbers and codes, and nothing of what was asked or answered, nor of any header.

use std::time::{Duration, SystemTime};

use jairouter_core::observe::Exchange;
use jairouter_core::trace::{Asked, SpanId, Trace};
use jairouter_core::{End, Kind};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, Status};
use tokio::time::Instant;

use crate::metrics::operation;

/// What is wrong with a request whose caller did not wait for it.
const CALLER_LEFT: &str = "client_cancelled";

pub(super) fn spans(exchange: &Exchange, trace: &Trace) -> Vec<Span> {
    let clock = Clock { wall: SystemTime::now(), at: Instant::now() };
    let asked = trace.asked();
    let mut spans = Vec::with_capacity(1 + asked.size_hint().0);
    spans.push(server(exchange, trace, &clock));
    spans.extend(asked.map(|asked| client(&asked, exchange, trace, &clock)));
    spans
}

/// What an instant is on the wall.
struct Clock {
    wall: SystemTime,
    at: Instant,
}

impl Clock {
    fn of(&self, at: Instant) -> u64 {
        let ago = self.at.saturating_duration_since(at);
        let at = self.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH);
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        since.as_nanos() as u64
    }
}

fn server(exchange: &Exchange, trace: &Trace, clock: &Clock) -> Span {
    let mut attributes = common(exchange);
    attributes.push(text("http.request.method", "POST"));
    attributes.push(text("url.path", exchange.endpoint.path()));
    attributes.push(flag("jairouter.stream", exchange.stream));
    if let Some(instance) = exchange.instance.as_deref() {
        attributes.push(text("jairouter.instance", instance));
    }
    // 499 is the log's word for an answer that nobody waited for.
    let answered = exchange.status.as_u16() != 499;
    if answered {
        attributes.push(number("http.response.status_code", exchange.status.as_u16().into()));
    }
    if let Some(usage) = exchange.usage {
        attributes.push(number("gen_ai.usage.input_tokens", usage.input));
        attributes.push(number("gen_ai.usage.output_tokens", usage.output));
    }
    let error = failure(exchange);
    attributes.extend(error.map(|error| text("error.type", error)));
    let first = exchange.first.filter(|_| exchange.stream && exchange.status.is_success());
    let event = |first: Duration| Event {
        time_unix_nano: clock.of(exchange.begun + first),
        name: "gen_ai.first_token".into(),
        ..Event::default()
    };
    // A refusal that its caller has to mend is no failure of the server's.
    let failed = exchange.error.is_some()
        && (exchange.status.is_server_error() || exchange.status.is_success());
    Span {
        parent_span_id: trace.parent().map(bytes).unwrap_or_default(),
        flags: flags(trace.parent().is_some()),
        start_time_unix_nano: clock.of(exchange.begun),
        end_time_unix_nano: clock.of(exchange.begun + exchange.total),
        attributes,
        events: first.map(event).into_iter().collect(),
        status: status(failed),
        ..span(exchange, trace, trace.span(), SpanKind::Server)
    }
}

fn client(asked: &Asked<'_>, exchange: &Exchange, trace: &Trace, clock: &Clock) -> Span {
    let mut attributes = common(exchange);
    attributes.push(text("server.address", asked.authority.host()));
    if let Some(port) = asked.authority.port_u16() {
        attributes.push(number("server.port", port.into()));
    }
    attributes.push(text("jairouter.instance", asked.instance));
    if let Some(status) = asked.status {
        attributes.push(number("http.response.status_code", status.as_u16().into()));
    }
    // One that has not failed by itself has ended as the request did.
    let (end, error) = match asked.failed {
        Some((at, kind)) => (clock.of(at), Some(kind.code())),
        None => (clock.of(exchange.begun + exchange.total), failure(exchange)),
    };
    attributes.extend(error.map(|error| text("error.type", error)));
    Span {
        parent_span_id: bytes(trace.span()),
        flags: flags(false),
        start_time_unix_nano: clock.of(asked.begun),
        end_time_unix_nano: end,
        attributes,
        status: status(error.is_some_and(|error| error != CALLER_LEFT)),
        ..span(exchange, trace, asked.span, SpanKind::Client)
    }
}

/// What every span has.
fn span(exchange: &Exchange, trace: &Trace, id: SpanId, kind: SpanKind) -> Span {
    let operation = operation(exchange.endpoint);
    // What nobody serves is a caller's invention, of which there is no end.
    let name = match exchange.error {
        Some(Kind::NoModel) => operation.to_owned(),
        _ => format!("{operation} {}", exchange.model),
    };
    Span {
        trace_id: trace.id().to_u128().to_be_bytes().into(),
        span_id: bytes(id),
        name,
        kind: kind.into(),
        ..Span::default()
    }
}

fn common(exchange: &Exchange) -> Vec<KeyValue> {
    let mut attributes = Vec::with_capacity(12);
    attributes.push(text("gen_ai.operation.name", operation(exchange.endpoint)));
    attributes.push(text("gen_ai.request.model", &*exchange.model));
    attributes
}

fn failure(exchange: &Exchange) -> Option<&'static str> {
    match exchange.end {
        End::Abandoned => Some(CALLER_LEFT),
        _ => exchange.error.map(Kind::code),
    }
}

fn status(failed: bool) -> Option<Status> {
    let status = Status { code: StatusCode::Error.into(), ..Status::default() };
    failed.then_some(status)
}

/// Sampled, and whether the parent is another program's.
fn flags(remote: bool) -> u32 {
    let known = SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = if remote { SpanFlags::ContextIsRemoteMask as u32 } else { 0 };
    1 | known | remote
}

fn bytes(id: SpanId) -> Vec<u8> {
    id.to_u64().to_be_bytes().into()
}

pub(super) fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.cast_signed()))
}

fn flag(key: &str, value: bool) -> KeyValue {
    attribute(key, Value::BoolValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
