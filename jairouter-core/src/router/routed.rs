use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower::Service;
use tower::util::Oneshot;

use crate::error::Error;
use crate::request::InferenceRequest;

pin_project! {
    /// Future of a router: the chosen service's own, or a refusal.
    pub struct Routed<S>
    where
        S: Service<InferenceRequest>,
    {
        #[pin]
        state: State<S>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S>
    where
        S: Service<InferenceRequest>,
    {
        Chosen { #[pin] response: Oneshot<S, InferenceRequest> },
        Refused { error: Option<Error> },
    }
}

impl<S: Service<InferenceRequest>> Routed<S> {
    pub(super) fn chosen(service: S, request: InferenceRequest) -> Self {
        Self { state: State::Chosen { response: Oneshot::new(service, request) } }
    }

    pub(super) fn refused(error: Error) -> Self {
        Self { state: State::Refused { error: Some(error) } }
    }
}

impl<S> Future for Routed<S>
where
    S: Service<InferenceRequest, Error = Error>,
{
    type Output = Result<S::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Chosen { response } => response.poll(cx),
            StateProj::Refused { error } => {
                Poll::Ready(Err(error.take().expect("polled after completion")))
            }
        }
    }
}
