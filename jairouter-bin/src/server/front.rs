//! What stands in front of the gateway on every connection: health, the `Host` check, the caller's
//! address, and the end of the process.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use jairouter_config::keys::Keys;
use jairouter_config::panics::{self, Panicked, caught};
use jairouter_config::serving::{endpoint_of, told};
use jairouter_core::gateway::{ClientAddr, request_id};
use jairouter_core::{Endpoint, Error, Kind, envelope};
use jiff::Timestamp;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use super::body::Served;
use super::client_addr::client_addr;
use super::connection::{Answering, Shared};
use super::received::Received;
use super::{Serve, Settings, Status};

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
    fn answer(&self, request: &Request<Received>, id: &HeaderValue) -> Option<Response<Bytes>> {
        match request.uri().path() {
            "/healthz" => Some(probe(request, id, StatusCode::OK, r#"{"status":"ok"}"#)),
            "/readyz" => Some(match self.status.readiness() {
                Ok(()) => probe(request, id, StatusCode::OK, r#"{"status":"ready"}"#),
                Err(why) => probe(request, id, StatusCode::SERVICE_UNAVAILABLE, why),
            }),
            _ => {
                let error = check_host(request).err()?.with_request_id(id.clone());
                Some(envelope::response(&error))
            }
        }
    }

    /// Lets the request in, if whoever sent it may ask anything; or why not.
    fn admit(
        &self,
        keys: &Keys,
        request: &mut Request<Received>,
        id: &HeaderValue,
    ) -> Option<Response<Bytes>> {
        let refused = keys.admit(request, Timestamp::now).err()?;
        let client = client_addr(self.peer, request.headers(), &self.settings.trusted_proxies);
        let away = keys.turn_away(request, refused, Some(client), id);
        let mut response = away.response;
        if away.is_one_too_many {
            // Whoever guesses pays for a connection each time.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Some(response)
    }
}

impl<S> Front<S>
where
    S: Serve,
    S::Service: Service<Request<Received>, Error = Infallible> + Clone,
{
    /// Answers, or has it answered.
    pub(super) fn ask(&self, mut request: Request<Received>) -> Serving<S::Service> {
        let answering = Some(self.shared.answer());
        let id = request_id(request.headers_mut());
        let is_old = request.version() < Version::HTTP_11;
        let endpoint = endpoint_of(request.uri().path());
        let looked_at = caught(|| {
            self.service.ask(|keys| {
                self.answer(&request, &id).or_else(|| self.admit(keys, &mut request, &id))
            })
        });
        let asked = match looked_at {
            Ok((None, service)) => Ok(service),
            Ok((Some(answer), _)) => Err(answer),
            Err(Panicked) => Err(told(endpoint, &panics::error().with_request_id(id.clone()))),
        };
        let service = match asked {
            Ok(service) => service,
            Err(mut answer) => {
                answer.headers_mut().insert(REQUEST_ID, id);
                if !request.body().is_end_stream() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                let state = State::Answered { answer: Some(answer) };
                return Serving { answering, id: None, endpoint, keep_alive: None, is_old, state };
            }
        };
        let client = client_addr(self.peer, request.headers(), &self.settings.trusted_proxies);
        request.extensions_mut().insert(ClientAddr(client));
        let keep_alive = self.settings.stream_keep_alive;
        let state = State::Asked { response: Oneshot::new(service, request) };
        Serving { answering, id: Some(id), endpoint, keep_alive, is_old, state }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Front<S>
where
    S: Serve,
    S::Service: Service<Request<Received>, Response = Response<B>, Error = Infallible> + Clone,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Response = Response<Served<B>>;
    type Error = Infallible;
    type Future = Serving<S::Service>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.ask(request.map(Received::from))
    }
}

pin_project! {
    pub(super) struct Serving<S>
    where
        S: Service<Request<Received>>,
    {
        answering: Option<Answering>,
        // For an answer in the gateway's place.
        id: Option<HeaderValue>,
        endpoint: Option<Endpoint>,
        keep_alive: Option<Duration>,
        is_old: bool,
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: Service<Request<Received>>,
    {
        Answered { answer: Option<Response<Bytes>> },
        Asked { #[pin] response: Oneshot<S, Request<Received>> },
    }
}

impl<S, B> Future for Serving<S>
where
    S: Service<Request<Received>, Response = Response<B>, Error = Infallible>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<Served<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let is_cut = this.answering.as_ref().is_some_and(Answering::is_cut);
        let response = match this.state.as_mut().project() {
            StateProj::Answered { answer } => Ok(answer.take().expect("polled after completion")),
            StateProj::Asked { response } => match caught(|| response.poll(cx)) {
                Ok(Poll::Ready(Ok(response))) => Err(response),
                Ok(Poll::Pending) if is_cut => {
                    Ok(told(*this.endpoint, &of(this.id.as_ref(), shutting_down())))
                }
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(Err(never))) => match never {},
                Err(Panicked) => {
                    // What it holds is let go of before its caller hears of it.
                    let _ = caught(|| this.state.set(State::Answered { answer: None }));
                    let mut answer = told(*this.endpoint, &of(this.id.as_ref(), panics::error()));
                    // How much of its body was read nobody knows any more.
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    Ok(answer)
                }
            },
        };
        let response = response.map(|mut own| {
            own.headers_mut().extend(this.id.take().map(|id| (REQUEST_ID, id)));
            own
        });
        let answering = this.answering.take().expect("polled after completion");
        let mut response = match response {
            Ok(own) => own.map(Served::own),
            Err(passed) => {
                let (parts, body) = passed.into_parts();
                Response::from_parts(parts, Served::passed(body))
            }
        };
        if response.headers().get(CONNECTION).is_some() {
            answering.shared().refuse_unread();
        }
        if answering.shared().is_last() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let is_event_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
        // A stream of events says itself that it failed, and a reset could overtake that.
        let is_close_delimited = *this.is_old && !is_event_stream;
        let has_length = response.headers().contains_key(CONTENT_LENGTH);
        let keep_alive = this.keep_alive.filter(|_| is_event_stream && !has_length);
        Poll::Ready(Ok(response.map(|body| {
            body.close_delimited(is_close_delimited)
                .kept_alive(keep_alive)
                .guarded(answering, is_event_stream)
        })))
    }
}

/// The error of the request with this id.
fn of(id: Option<&HeaderValue>, error: Error) -> Error {
    match id {
        Some(id) => error.with_request_id(id.clone()),
        None => error,
    }
}

/// What a caller is told whose answer outlasts the time to drain.
pub(super) fn shutting_down() -> Error {
    Error::new(Kind::Overloaded, "the gateway is shutting down")
        .with_code("server_shutting_down")
        .with_retry_after(Duration::from_secs(1))
}

fn probe(
    request: &Request<Received>,
    id: &HeaderValue,
    status: StatusCode,
    json: &'static str,
) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = Error::new(Kind::BadMethod, "this path takes GET").with_request_id(id.clone());
        let mut response = envelope::response(&error);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(Bytes::from_static(json.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Exactly one `Host`, naming a host and perhaps a port (RFC 9112, section 3.2); neither hyper nor h2 looks. In
/// HTTP/2 it is the target's own authority, and a `Host` beside it says the same (RFC 9113, section 8.3.1).
fn check_host(request: &Request<Received>) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let bad = |message| Error::new(Kind::Invalid, message).with_code("invalid_host");
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    let host = match (hosts.next(), hosts.next(), authority) {
        (None, _, None) if request.version() < Version::HTTP_11 => return Ok(()),
        (None, _, None) => return Err(bad("the request has no Host")),
        (Some(_), Some(_), _) => return Err(bad("the request has two Hosts")),
        (None, _, Some(authority)) => Some(authority.clone()),
        (Some(host), None, None) if is_plain_host(host.as_bytes()) => return Ok(()),
        (Some(host), None, authority) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            match authority {
                Some(authority) if host.as_ref() != Some(authority) => {
                    return Err(bad("the request's Host is not its :authority"));
                }
                _ => host,
            }
        }
    };
    match host {
        Some(host) if !host.as_str().contains('@') && port_is_one(&host) => Ok(()),
        _ => Err(bad("the request's Host is not one")),
    }
}

/// Whether this is a name or an address of IPv4, and perhaps a port, without a letter that has to be looked at
/// twice: as nearly every `Host` is.
fn is_plain_host(host: &[u8]) -> bool {
    let (name, port) = match memchr::memrchr(b':', host) {
        Some(colon) => (&host[..colon], Some(&host[colon + 1..])),
        None => (host, None),
    };
    let is_of_a_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_port = |port: &[u8]| matches!(port.len(), 1..=4) && port.iter().all(u8::is_ascii_digit);
    !name.is_empty() && name.iter().all(is_of_a_name) && port.is_none_or(is_port)
}

/// Whether the port, if there is one, is a number a port can be.
fn port_is_one(host: &Authority) -> bool {
    let rest = host.as_str().strip_prefix(host.host()).unwrap_or_default();
    rest.is_empty() || rest == ":" || host.port_u16().is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_is_a_host(host in "[a-zA-Z0-9.:@\\[\\]%_-]{0,12}") {
            if is_plain_host(host.as_bytes()) {
                let authority: Authority = host.parse().unwrap();
                prop_assert!(!host.contains('@') && port_is_one(&authority), "{host}");
            }
        }
    }

    #[test]
    fn names_addresses_and_ports_are_plain() {
        for host in ["localhost", "gateway.example:8080", "127.0.0.1:1", "A-1"] {
            assert!(is_plain_host(host.as_bytes()), "{host}");
        }
        for host in ["", ":80", "a:", "a:65536", "a@b", "[::1]:80", "a b", "a:b", "a:1:2"] {
            assert!(!is_plain_host(host.as_bytes()), "{host}");
        }
    }
}
