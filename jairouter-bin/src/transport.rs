//! What carries requests to an instance: sockets, or the simulated engine in this process.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use jairouter_adapters::simulated::Engine;
use jairouter_core::Payload;
use jairouter_core::client::HttpClient;
use jairouter_core::{Body, Error};
use pin_project_lite::pin_project;
use tower::Service;

/// The client of one instance.
#[derive(Clone)]
pub enum Transport {
    /// Connections to its origin.
    Http(HttpClient),
    /// An engine of our own.
    Simulated(Engine),
}

impl Transport {
    /// A client of the same instance whose connections belong to another core.
    #[must_use]
    pub fn sibling(&self) -> Self {
        match self {
            Self::Http(client) => Self::Http(client.sibling()),
            Self::Simulated(engine) => Self::Simulated(engine.clone()),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http(_) => "Http",
            Self::Simulated(_) => "Simulated",
        })
    }
}

type HttpFuture = <HttpClient as Service<Request<Payload>>>::Future;
type SimulatedFuture = <Engine as Service<Request<Payload>>>::Future;

impl Service<Request<Payload>> for Transport {
    type Response = Response<Body>;
    type Error = Error;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self {
            Self::Http(client) => client.poll_ready(cx),
            Self::Simulated(engine) => engine.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Payload>) -> ResponseFuture {
        match self {
            Self::Http(client) => ResponseFuture::Http { future: client.call(request) },
            Self::Simulated(engine) => ResponseFuture::Simulated { future: engine.call(request) },
        }
    }
}

pin_project! {
    /// Future of a [`Transport`].
    #[project = ResponseFutureProj]
    #[allow(missing_docs)]
    pub enum ResponseFuture {
        Http { #[pin] future: HttpFuture },
        Simulated { #[pin] future: SimulatedFuture },
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProj::Http { future } => {
                future.poll(cx).map_ok(|response| response.map(Into::into))
            }
            ResponseFutureProj::Simulated { future } => future.poll(cx),
        }
    }
}
