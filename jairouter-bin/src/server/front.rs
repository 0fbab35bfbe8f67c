//! What stands in front of the gateway on every connection: health, the `Host` check, the caller's
//! address, and the end of the process.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use jairouter_core::gateway::{ClientAddr, request_id};
use jairouter_core::{Endpoint, Error, Kind, envelope};
use jiff::Timestamp;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use super::body::Served;
use super::client_addr::client_addr;
use super::connection::{Answering, Shared};
use super::{Serve, Settings, Status};
use crate::keys::{Keys, Refused};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(super) struct Front<S> {
    service: S,
    settings: Arc<Settings>,
    status: Arc<Status>,
    shared: Arc<Shared>,
    peer: IpAddr,
}

impl<S> Front<S> {
    pub(super) fn new(
        service: S,
        settings: Arc<Settings>,
        status: Arc<Status>,
        shared: Arc<Shared>,
        peer: IpAddr,
    ) -> Self {
        Self { service, settings, status, shared, peer }
    }

    /// What is answered without the gateway.
    fn answer(&self, request: &Request<Incoming>) -> Option<Response<Bytes>> {
        match request.uri().path() {
            "/healthz" => Some(probe(request, StatusCode::OK, r#"{"status":"ok"}"#)),
            "/readyz" => Some(match self.status.readiness() {
                Ok(()) => probe(request, StatusCode::OK, r#"{"status":"ready"}"#),
                Err(why) => probe(request, StatusCode::SERVICE_UNAVAILABLE, why),
            }),
            _ => check_host(request).err().map(|error| envelope::response(&error)),
        }
    }

    /// Lets the request in, if whoever sent it may ask anything; or why not.
    fn admit(
        &self,
        keys: &Keys,
        request: &mut Request<Incoming>,
        id: &HeaderValue,
    ) -> Option<Response<Bytes>> {
        let Refused { mut error, why } = keys.admit(request, Timestamp::now()).err()?;
        let client = client_addr(self.peer, request.headers(), &self.settings.trusted_proxies);
        let path = request.uri().path();
        let endpoint = Endpoint::from_path(path.strip_prefix("/api").unwrap_or(path));
        let is_stranger = error.kind() == Kind::Unauthorized;
        let wait = if is_stranger { keys.failed(client) } else { None };
        if let Some(wait) = wait {
            let message = "there were too many requests without a good API key";
            error = Error::new(Kind::RateLimited, message).with_retry_after(wait);
            tracing::debug!(target: "access", error = "too_many_failures", %client, "refused at the door");
        } else {
            // Any other path may be long, or hold what is none of the log's business.
            tracing::info!(
                target: "access",
                request_id = id.to_str().ok(),
                endpoint = endpoint.map(Endpoint::path),
                status = error.status().as_u16(),
                error = error.kind().code(),
                why,
                %client,
                "refused at the door"
            );
        }
        let mut response = match endpoint {
            Some(endpoint) => envelope::response_to(endpoint, &error),
            None => envelope::response(&error),
        };
        if is_stranger {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if wait.is_some() {
            // Whoever guesses pays for a connection each time.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Some(response)
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Front<S>
where
    S: Serve,
    S::Service: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<Served<B>>;
    type Error = Infallible;
    type Future = Serving<S::Service>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let answering = Some(self.shared.answer());
        let id = request_id(request.headers_mut());
        let is_old = request.version() < Version::HTTP_11;
        let (answer, service) = self
            .service
            .ask(|keys| self.answer(&request).or_else(|| self.admit(keys, &mut request, &id)));
        if let Some(mut answer) = answer {
            answer.headers_mut().insert(REQUEST_ID, id);
            if !request.body().is_end_stream() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let id = None;
            return Serving {
                answering,
                id,
                is_old,
                state: State::Answered { answer: Some(answer) },
            };
        }
        let client = client_addr(self.peer, request.headers(), &self.settings.trusted_proxies);
        request.extensions_mut().insert(ClientAddr(client));
        let response = Oneshot::new(service, request);
        Serving { answering, id: Some(id), is_old, state: State::Asked { response } }
    }
}

pin_project! {
    pub(super) struct Serving<S>
    where
        S: Service<Request<Incoming>>,
    {
        answering: Option<Answering>,
        // For an answer in the gateway's place.
        id: Option<HeaderValue>,
        is_old: bool,
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: Service<Request<Incoming>>,
    {
        Answered { answer: Option<Response<Bytes>> },
        Asked { #[pin] response: Oneshot<S, Request<Incoming>> },
    }
}

impl<S, B> Future for Serving<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<Served<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let is_cut = this.answering.as_ref().is_some_and(Answering::is_cut);
        let response = match this.state.project() {
            StateProj::Answered { answer } => Ok(answer.take().expect("polled after completion")),
            StateProj::Asked { response } => match response.poll(cx) {
                Poll::Ready(Ok(response)) => Err(response),
                Poll::Pending if is_cut => {
                    let mut answer = envelope::response(&shutting_down());
                    answer.headers_mut().extend(this.id.take().map(|id| (REQUEST_ID, id)));
                    Ok(answer)
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(never)) => match never {},
            },
        };
        let answering = this.answering.take().expect("polled after completion");
        let response = match response {
            Ok(own) => own.map(Served::own),
            Err(passed) => {
                let (parts, body) = passed.into_parts();
                Response::from_parts(parts, Served::passed(body))
            }
        };
        if response.headers().get(CONNECTION).is_some() {
            answering.shared().refuse_unread();
        }
        let is_event_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        // A stream of events says itself that it failed, and a reset could overtake that.
        let is_close_delimited = *this.is_old && !is_event_stream;
        Poll::Ready(Ok(response.map(|body| {
            body.close_delimited(is_close_delimited).guarded(answering, is_event_stream)
        })))
    }
}

/// What a caller is told whose answer outlasts the time to drain.
pub(super) fn shutting_down() -> Error {
    Error::new(Kind::Overloaded, "the gateway is shutting down")
        .with_code("server_shutting_down")
        .with_retry_after(std::time::Duration::from_secs(1))
}

fn probe(request: &Request<Incoming>, status: StatusCode, json: &'static str) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = Error::new(Kind::BadMethod, "this path takes GET");
        let mut response = envelope::response(&error);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(Bytes::from_static(json.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Exactly one `Host`, naming a host and perhaps a port (RFC 9112, section 3.2); hyper does not look.
fn check_host(request: &Request<Incoming>) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let bad = |message| Error::new(Kind::Invalid, message).with_code("invalid_host");
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(()),
        (None, _) => Err(bad("the request has no Host")),
        (Some(_), Some(_)) => Err(bad("the request has two Hosts")),
        (Some(host), None) => {
            match host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()) {
                Some(host) if !host.as_str().contains('@') && port_is_one(&host) => Ok(()),
                _ => Err(bad("the request's Host is not one")),
            }
        }
    }
}

/// Whether the port, if there is one, is a number a port can be.
fn port_is_one(host: &Authority) -> bool {
    let rest = host.as_str().strip_prefix(host.host()).unwrap_or_default();
    rest.is_empty() || rest == ":" || host.port_u16().is_some()
}
