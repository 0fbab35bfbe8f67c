//! A collector of spans, which decodes what it is sent and answers as it is told.

use std::fmt::Write as _;
use std::net::SocketAddr;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
pub use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

use crate::until;
use crate::upstream::{Seen, Step, Upstream};

/// What a collector answers that has taken everything.
const TAKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";

/// A running collector. It stops when this is dropped.
pub struct Collector(Upstream);

impl Collector {
    /// Takes everything.
    pub async fn start() -> Self {
        Self::serving(|_| vec![Step::Send(TAKEN.into())]).await
    }

    /// Does for each batch, counted from 0, what this says.
    pub async fn serving(script: impl Fn(usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self(Upstream::serving(move |number, _| script(number)).await)
    }

    /// Takes everything from here on.
    pub fn taken() -> Step {
        Step::Send(TAKEN.into())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// The heads of what it was sent.
    pub fn heads(&self) -> Vec<String> {
        let head = |request: String| request.split("\r\n\r\n").next().map(str::to_owned);
        self.0.requests().into_iter().filter_map(head).collect()
    }

    /// The batches it was sent.
    ///
    /// # Panics
    ///
    /// If one is none.
    pub fn batches(&self) -> Vec<Vec<ResourceSpans>> {
        let batch = |seen: Seen| {
            let Seen::Request(bytes) = seen else { return None };
            let start = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
            let batch = ExportTraceServiceRequest::decode(&bytes[start..]).expect("it is one");
            Some(batch.resource_spans)
        };
        self.0.seen().into_iter().filter_map(batch).collect()
    }

    /// Every span it was sent.
    pub fn spans(&self) -> Vec<Span> {
        let scopes = self.batches().into_iter().flatten().flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// Every span, once those of so many requests are there.
    pub async fn told(&self, requests: usize) -> Vec<Span> {
        let is_there = || self.spans().iter().filter(|span| is_server(span)).count() >= requests;
        until("the requests were told", is_there).await;
        self.spans()
    }
}

/// Whether it is a request's own.
pub fn is_server(span: &Span) -> bool {
    span.kind == i32::from(SpanKind::Server)
}

/// Whether it is an attempt's.
pub fn is_client(span: &Span) -> bool {
    span.kind == i32::from(SpanKind::Client)
}

/// An attribute as text, or nothing.
pub fn attribute(span: &Span, key: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|found| found.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

/// An id in hexadecimal.
pub fn hex(id: &[u8]) -> String {
    let mut text = String::new();
    for byte in id {
        // Memory does not refuse a write.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// How long it lasted, in milliseconds.
pub fn lasted(span: &Span) -> u64 {
    (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000_000
}
