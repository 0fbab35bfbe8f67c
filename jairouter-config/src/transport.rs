//! What carries requests to an instance: sockets, or the simulated engine in this process.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use jairouter_adapters::simulated::Engine;
use jairouter_core::Payload;
use jairouter_core::client::HttpClient;
use jairouter_core::{Body, Error};
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use crate::config;
use crate::hooks::{Calls, Outcome};
use crate::reasons::Reasons;

/// The client of one instance.
#[derive(Clone)]
pub struct Transport {
    kind: Kind,
    /// That of its siblings, and of nobody else.
    number: u64,
    /// What counts what is asked, if anything does.
    calls: Option<Arc<dyn Calls>>,
    /// Who says why the instance cannot be reached.
    reasons: Option<Arc<Reasons>>,
}

#[derive(Clone)]
enum Kind {
    /// Connections to its origin.
    Http(HttpClient),
    /// An engine of our own.
    Simulated(Engine),
}

/// The connections of one core, which outlive the stacks that use them.
#[derive(Debug, Default)]
pub(crate) struct Siblings {
    used: HashMap<u64, Transport>,
    unused: HashMap<u64, Transport>,
}

impl Siblings {
    /// Those of this core to the instance of this client.
    pub(crate) fn of(&mut self, transport: &Transport) -> Transport {
        let Self { used, unused } = self;
        let new = || unused.remove(&transport.number).unwrap_or_else(|| transport.sibling());
        let sibling = used.entry(transport.number).or_insert_with(new);
        let (calls, reasons) = (transport.calls.clone(), transport.reasons.clone());
        Transport { calls, reasons, ..sibling.clone() }
    }

    /// Those that a stack goes on with are asked for from here on.
    pub(crate) fn renew(&mut self) {
        self.unused = mem::take(&mut self.used);
    }

    /// The others are closed, as soon as their requests are over.
    pub(crate) fn close_unused(&mut self) {
        self.unused.clear();
    }
}

impl Transport {
    /// A client of this instance.
    ///
    /// # Errors
    ///
    /// If its URL is none, as text. A configuration that was loaded has no such URL.
    pub fn to(instance: &config::Instance) -> Result<Self, String> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let kind = if instance.target.scheme() == "simulated" {
            Kind::Simulated(instance.base_url.parse::<Engine>().map_err(|error| error.to_string())?)
        } else {
            let client = HttpClient::builder()
                .connect_timeout(instance.connect_timeout)
                .link_local(instance.link_local);
            let client = match &instance.tls {
                Some(tls) => client.tls(tls.config(instance.http2)),
                None => client,
            };
            Kind::Http(client.build(instance.target.authority()))
        };
        Ok(Self {
            kind,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            calls: None,
            reasons: None,
        })
    }

    /// The same, which tells here why the instance cannot be reached.
    #[must_use]
    pub(crate) fn explained(self, reasons: Arc<Reasons>) -> Self {
        Self { reasons: Some(reasons), ..self }
    }

    /// The same, for requests that are counted here.
    #[must_use]
    pub(crate) fn counted(self, calls: Option<Arc<dyn Calls>>) -> Self {
        Self { calls, ..self }
    }

    /// A client of the same instance whose connections belong to another core.
    #[must_use]
    pub fn sibling(&self) -> Self {
        let kind = match &self.kind {
            Kind::Http(client) => Kind::Http(client.sibling()),
            Kind::Simulated(engine) => Kind::Simulated(engine.clone()),
        };
        Self { kind, number: self.number, calls: None, reasons: self.reasons.clone() }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Http(_) => "Http",
            Kind::Simulated(_) => "Simulated",
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
        match &mut self.kind {
            Kind::Http(client) => client.poll_ready(cx),
            Kind::Simulated(engine) => engine.poll_ready(cx),
        }
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let sent = match &mut self.kind {
            Kind::Http(client) => Sent::Http { future: client.call(request) },
            Kind::Simulated(engine) => Sent::Simulated { future: engine.call(request) },
        };
        ResponseFuture::new(sent, self.calls.as_ref(), self.reasons.as_ref())
    }
}

pin_project! {
    /// Future of a [`Transport`]: a call that is counted when its answer's head is there, or when it is dropped.
    pub struct ResponseFuture {
        #[pin]
        sent: Sent,
        reasons: Option<Arc<Reasons>>,
        call: Call,
    }
}

struct Call {
    calls: Option<Arc<dyn Calls>>,
    started: Instant,
}

pin_project! {
    #[project = SentProj]
    enum Sent {
        Http { #[pin] future: HttpFuture },
        Simulated { #[pin] future: SimulatedFuture },
    }
}

impl ResponseFuture {
    fn new(sent: Sent, calls: Option<&Arc<dyn Calls>>, reasons: Option<&Arc<Reasons>>) -> Self {
        calls.inspect(|calls| calls.begun());
        let call = Call { calls: calls.cloned(), started: Instant::now() };
        Self { sent, reasons: reasons.cloned(), call }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<Body>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = match this.sent.project() {
            SentProj::Http { future } => {
                ready!(future.poll(cx)).map(|answer| answer.map(Into::into))
            }
            SentProj::Simulated { future } => ready!(future.poll(cx)),
        };
        if let Some(reasons) = this.reasons.take() {
            match &answer {
                Ok(_) => reasons.worked(),
                Err(error) => reasons.failed(error),
            }
        }
        this.call.over(match &answer {
            Ok(answer) => Outcome::Status(answer.status().as_u16()),
            Err(error) => Outcome::Failed(error.kind()),
        });
        Poll::Ready(answer)
    }
}

impl Call {
    /// Once: what comes after it is nothing new.
    fn over(&mut self, outcome: Outcome) {
        if let Some(calls) = self.calls.take() {
            calls.over(outcome, self.started.elapsed());
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.over(Outcome::Abandoned);
    }
}
