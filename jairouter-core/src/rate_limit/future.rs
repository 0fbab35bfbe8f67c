use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;
use pin_project_lite::pin_project;

use super::headers;
use super::limiter::Grant;
use crate::body::GuardedBody;
use crate::error::Error;

pin_project! {
    /// Future of [`RateLimit`](super::RateLimit).
    ///
    /// Dropping it says that the caller left: what is held is given back, and what was spent stays
    /// spent.
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Admitted {
            #[pin]
            inner: F,
            grant: Option<Grant>,
        },
        Refused { error: Option<Error> },
    }
}

impl<F> ResponseFuture<F> {
    pub(super) fn admitted(inner: F, grant: Grant) -> Self {
        Self { state: State::Admitted { inner, grant: Some(grant) } }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<Error>,
    B: HttpBody<Data = Bytes, Error = Error>,
{
    type Output = Result<Response<GuardedBody<B, Grant>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (inner, grant) = match self.project().state.project() {
            StateProj::Admitted { inner, grant } => (inner, grant),
            StateProj::Refused { error } => {
                return Poll::Ready(Err(error.take().expect("polled after completion")));
            }
        };
        let outcome = ready!(inner.poll(cx));
        let grant = grant.take().expect("polled after completion");
        Poll::Ready(match outcome {
            Ok(mut response) => {
                for quota in grant.quotas() {
                    headers::quota(response.headers_mut(), quota);
                }
                Ok(response.map(|body| GuardedBody::new(body, grant)))
            }
            Err(error) => {
                grant.refused();
                Err(error.into())
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
