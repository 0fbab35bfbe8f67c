//! The collector: one `POST` for each batch, and what its answer means.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use jairouter_config::config::{Http2, Otlp};
use jairouter_config::reasons::chain;
use jairouter_core::client::HttpClient;
use jairouter_core::{Body, Payload};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::time::timeout;
use tower::ServiceExt;

use super::span::text;

/// How much of an answer is read.
const LARGEST_ANSWER: usize = 64 * 1024;

const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) struct Collector {
    client: HttpClient,
    uri: Uri,
    /// The values are secrets.
    headers: HeaderMap,
    timeout: Duration,
    service_name: String,
    endpoint: String,
}

/// What becomes of a batch, and why.
pub(super) enum Verdict {
    /// It is there, but for these.
    Taken { rejected: usize },
    /// It may be taken at another time, perhaps after this one.
    Later(String, Option<Duration>),
    /// It will not be.
    Never(String),
}

impl Collector {
    pub(super) fn new(otlp: &Otlp) -> Result<Self, String> {
        let uri = otlp.target.uri("/v1/traces".into()).map_err(|error| error.to_string())?;
        let client = HttpClient::builder();
        let client = match &otlp.tls {
            Some(tls) => client.tls(tls.config(Http2::Never)),
            None => client,
        };
        let mut headers = otlp.headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let agent = HeaderValue::from_static(concat!("jairouter/", env!("CARGO_PKG_VERSION")));
        headers.entry(USER_AGENT).or_insert(agent);
        Ok(Self {
            client: client.build(otlp.target.authority()),
            endpoint: uri.to_string(),
            uri,
            headers,
            timeout: otlp.timeout,
            service_name: otlp.service_name.clone(),
        })
    }

    /// Where it is, for people.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn pack(&self, spans: Vec<Span>) -> Bytes {
        let attributes = vec![
            text("service.name", self.service_name.as_str()),
            text("service.version", VERSION),
        ];
        let resource = Resource { attributes, ..Resource::default() };
        let (name, version) = ("jairouter".to_owned(), VERSION.to_owned());
        let scope = InstrumentationScope { name, version, ..InstrumentationScope::default() };
        let scope_spans = ScopeSpans { scope: Some(scope), spans, schema_url: String::new() };
        let resource_spans = ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            schema_url: String::new(),
        };
        ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec().into()
    }

    pub(super) async fn send(&self, batch: Bytes) -> Verdict {
        let mut request = Request::new(Payload::from(batch));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        request.headers_mut().clone_from(&self.headers);
        let answered = async {
            let answer = self.client.clone().oneshot(request).await?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(Body::from(body), LARGEST_ANSWER).collect().await;
            // An answer whose body is too long, or breaks off, has its status still.
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok::<_, jairouter_core::Error>(Response::from_parts(parts, body))
        };
        match timeout(self.timeout, answered).await {
            Ok(Ok(answer)) => verdict(&answer),
            Ok(Err(error)) => Verdict::Later(chain(&error), None),
            Err(_) => Verdict::Later(format!("no answer within {:?}", self.timeout), None),
        }
    }
}

/// As OTLP has it: which statuses may be cured by time, and that a success may be partial.
fn verdict(answer: &Response<Bytes>) -> Verdict {
    let status = answer.status();
    match status {
        _ if status.is_success() => {
            let told = ExportTraceServiceResponse::decode(answer.body().clone());
            let partial = told.ok().and_then(|told| told.partial_success);
            let rejected = partial.map_or(0, |partial| partial.rejected_spans);
            Verdict::Taken { rejected: rejected.try_into().unwrap_or(0) }
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => {
            let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
            let after = after.and_then(|after| after.trim().parse().ok()).map(Duration::from_secs);
            Verdict::Later(format!("it answers {status}"), after)
        }
        _ => Verdict::Never(format!("it answers {status}")),
    }
}

/// Never prints the headers' values.
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}
