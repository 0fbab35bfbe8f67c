use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use super::body::GatewayBody;
use super::collect::{Collect, too_large};
use super::head::{Wanted, asked, wanted};
use super::{ClientAddr, Settings, request_id};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::envelope;
use crate::error::{BoxError, Error};
use crate::request::InferenceRequest;
use crate::trace::Tracing;

pin_project! {
    /// Future of a [`Gateway`](super::Gateway).
    ///
    /// Dropping it drops the body that is being read, or the request that is being answered.
    pub struct ResponseFuture<S, B>
    where
        S: Service<InferenceRequest>,
    {
        id: HeaderValue,
        // What is asked, if anything is: refusals are in its words.
        endpoint: Option<Endpoint>,
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B>
    where
        S: Service<InferenceRequest>,
    {
        /// Answered from the head alone. Whether a body is left unread.
        Answered { answer: Option<Result<Bytes, Box<Refusal>>> },
        Reading {
            #[pin]
            body: Collect<B>,
            head: Option<(S, Box<Head>)>,
        },
        Asking {
            #[pin]
            response: Oneshot<S, InferenceRequest>,
        },
    }
}

/// What is kept of the head while the body is read.
struct Head {
    endpoint: Endpoint,
    headers: HeaderMap,
    extensions: Extensions,
    tracing: Option<Tracing>,
}

struct Refusal {
    error: Error,
    allow: Option<HeaderValue>,
    /// Whether the body was not read to its end, so that the connection cannot be used again.
    unread: bool,
}

impl Refusal {
    fn new(error: Error, unread: bool) -> Self {
        Self { error, allow: None, unread }
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<InferenceRequest> + Clone,
    B: HttpBody,
{
    pub(super) fn new(inner: &S, settings: &Arc<Settings>, request: Request<B>) -> Self {
        let (mut head, body) = request.into_parts();
        let id = request_id(&mut head.headers);
        let unread = !body.is_end_stream();
        let asked = asked(&head);
        let answer = match wanted(&head) {
            Ok(Wanted::Inference(_)) if body.size_hint().lower() > settings.max_body as u64 => {
                Err(Box::new(Refusal::new(too_large(settings.max_body), true)))
            }
            Ok(Wanted::Inference(endpoint)) => {
                let (limit, timeout) = (settings.max_body, settings.body_timeout);
                let body = Collect::new(body, limit, timeout, &settings.memory);
                let (headers, extensions) = (head.headers, head.extensions);
                let head = Head { endpoint, headers, extensions, tracing: settings.tracing };
                let head = Some((inner.clone(), Box::new(head)));
                return Self { id, endpoint: Some(endpoint), state: State::Reading { body, head } };
            }
            Ok(Wanted::Models) => Ok(settings.models.list(head.extensions.get())),
            Ok(Wanted::Model(name)) => {
                let card = settings.models.card(name, head.extensions.get());
                card.map_err(|error| Box::new(Refusal::new(error, unread)))
            }
            Err((error, method)) => {
                let allow = method.and_then(|method| HeaderValue::from_str(method.as_str()).ok());
                Err(Box::new(Refusal { error, allow, unread }))
            }
        };
        Self { id, endpoint: asked, state: State::Answered { answer: Some(answer) } }
    }
}

impl<S, B, R> Future for ResponseFuture<S, B>
where
    S: Service<InferenceRequest, Response = Response<R>, Error = Error>,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<GatewayBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        clock::in_one_go(|| self.poll_answer(cx))
    }
}

impl<S, B, R> ResponseFuture<S, B>
where
    S: Service<InferenceRequest, Response = Response<R>, Error = Error>,
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    R: HttpBody<Data = Bytes, Error = Error>,
{
    fn poll_answer(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<GatewayBody<R>>, Infallible>> {
        let mut this = self.project();
        loop {
            let response = match this.state.as_mut().project() {
                StateProj::Answered { answer } => {
                    match answer.take().expect("polled after completion") {
                        Ok(json) => own(json),
                        Err(refusal) => refused(*this.endpoint, *refusal, this.id),
                    }
                }
                StateProj::Reading { body, head } => {
                    let body = ready!(body.poll(cx));
                    let (service, head) = head.take().expect("polled after completion");
                    let parsed = match body {
                        Ok(payload) => parse(*head, payload).map_err(|error| (error, false)),
                        Err(error) => Err((error, true)),
                    };
                    match parsed {
                        Ok(request) => {
                            let response = Oneshot::new(service, request);
                            this.state.set(State::Asking { response });
                            continue;
                        }
                        Err((error, unread)) => {
                            refused(*this.endpoint, Refusal::new(error, unread), this.id)
                        }
                    }
                }
                StateProj::Asking { response } => match ready!(response.poll(cx)) {
                    Ok(response) => response.map(GatewayBody::passed),
                    Err(error) => refused(*this.endpoint, Refusal::new(error, false), this.id),
                },
            };
            return Poll::Ready(Ok(with_id(response, this.id)));
        }
    }
}

fn parse(head: Head, payload: Bytes) -> Result<InferenceRequest, Error> {
    let client = head.extensions.get::<ClientAddr>().map(|client| client.0);
    let trace = head.tracing.map(|tracing| tracing.begin(&head.headers));
    let request = InferenceRequest::new(head.endpoint, head.headers, payload)?;
    Ok(request.with_client(client).with_trace(trace).with_extensions(head.extensions))
}

fn own<R>(json: Bytes) -> Response<GatewayBody<R>> {
    let mut response = Response::new(GatewayBody::own(json));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused<R>(
    endpoint: Option<Endpoint>,
    refusal: Refusal,
    id: &HeaderValue,
) -> Response<GatewayBody<R>> {
    let error = refusal.error.with_request_id(id.clone());
    let response = match endpoint {
        Some(endpoint) => envelope::response_to(endpoint, &error),
        None => envelope::response(&error),
    };
    let mut response = response.map(GatewayBody::own);
    if let Some(allow) = refusal.allow {
        response.headers_mut().insert(ALLOW, allow);
    }
    if refusal.unread {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn with_id<R>(
    mut response: Response<GatewayBody<R>>,
    id: &HeaderValue,
) -> Response<GatewayBody<R>> {
    response.headers_mut().insert(request_id::REQUEST_ID, id.clone());
    response
}
