use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;

use super::headers;
use super::limiter::{Grant, Limiter};
use crate::body::GuardedBody;
use crate::clock;
use crate::error::Error;
use crate::request::InferenceRequest;

pin_project! {
    /// Future of [`RateLimit`](super::RateLimit).
    ///
    /// Dropping it says that the caller left: what is held is given back, and what was spent stays
    /// spent.
    pub struct ResponseFuture<L, F> {
        #[pin]
        state: State<L, F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<L, F> {
        Admitted {
            #[pin]
            inner: F,
            admitted: Option<Admitted<L>>,
        },
        Refused { error: Option<Error> },
    }
}

/// What was taken, from whom and for what.
struct Admitted<L> {
    grant: Grant,
    limiter: L,
    request: InferenceRequest,
}

impl<L, F> ResponseFuture<L, F> {
    pub(super) fn admitted(inner: F, grant: Grant, limiter: L, request: InferenceRequest) -> Self {
        let admitted = Some(Admitted { grant, limiter, request });
        Self { state: State::Admitted { inner, admitted } }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<L, F, B, E> Future for ResponseFuture<L, F>
where
    L: Limiter,
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<GuardedBody<B, Grant>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, admitted) = match self.project().state.project() {
            StateProj::Admitted { inner, admitted } => (inner, admitted),
            StateProj::Refused { error } => {
                return Poll::Ready(Err(error.take().expect("polled after completion")));
            }
        };
        let outcome = ready!(inner.poll(cx)).map_err(Into::into);
        let Admitted { mut grant, limiter, request } =
            admitted.take().expect("polled after completion");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                grant.answered(response.extensions_mut());
                headers::quotas(response.headers_mut(), grant.quotas());
                Ok(response.map(|body| GuardedBody::new(body, grant)))
            }
            Err(error) => {
                grant.refused();
                // Refused further down before anybody saw it: that spends nothing here, either.
                if error.is_unsent() {
                    limiter.give_back(&request, clock::now());
                }
                Err(error)
            }
        })
    }
}

impl<L, F> fmt::Debug for ResponseFuture<L, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
