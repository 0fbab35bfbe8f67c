use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;

use super::breaker::Open;
use super::permit::Permit;
use crate::body::GuardedBody;
use crate::clock;
use crate::error::{Error, Kind};

pin_project! {
    /// Future of [`CircuitBreaker`](super::CircuitBreaker).
    ///
    /// Dropping it drops the permit: nothing is counted, and a probe is given back.
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Admitted { #[pin] inner: F, permit: Option<Permit> },
        Refused { open: Option<Open> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(inner: F, permit: Option<Permit>) -> Self {
        Self { state: State::Admitted { inner, permit } }
    }

    pub(super) fn refused(open: Open) -> Self {
        Self { state: State::Refused { open: Some(open) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: HttpBody<Data = Bytes, Error = Error>,
    E: Into<Error>,
{
    type Output = Result<Response<GuardedBody<B, Option<Permit>>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, permit) = match self.project().state.project() {
            StateProj::Admitted { inner, permit } => (inner, permit),
            StateProj::Refused { open } => {
                let open = open.take().expect("polled after completion");
                return Poll::Ready(Err(open.into()));
            }
        };
        let outcome = ready!(inner.poll(cx)).map_err(Into::into);
        let mut permit = permit.take();
        Poll::Ready(match outcome {
            Ok(response) => {
                if let (Some(permit), Some(kind)) = (&mut permit, refusal(&response)) {
                    permit.settle_by(kind, clock::now());
                }
                Ok(response.map(|body| GuardedBody::new(body, permit)))
            }
            Err(error) => {
                if let Some(permit) = permit {
                    permit.judge(error.kind(), clock::now());
                }
                Err(error)
            }
        })
    }
}

/// What a service that is not ours says with a status alone.
fn refusal<B>(response: &Response<B>) -> Option<Kind> {
    let status = response.status();
    if status == StatusCode::SERVICE_UNAVAILABLE && response.headers().contains_key(RETRY_AFTER) {
        return Some(Kind::Busy);
    }
    Kind::of_status(status)
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
