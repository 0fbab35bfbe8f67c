use http::{HeaderName, HeaderValue, Response};
use http_body::Body as HttpBody;

use bytes::Bytes;
use tokio::time::Instant;

use super::chain::Link;
use super::layer::Policies;
use super::{FALLBACK, MODEL};
use crate::body::{Body, GuardedBody};
use crate::error::{Attempt, Error, Kind};
use crate::gateway::VisibleModels;
use crate::rate_limit::Grant;
use crate::request::InferenceRequest;

/// How many instances have seen the request, by the balancer of the model that answered.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-jairouter-attempts");

/// The instances that were asked in vain, in the extensions of what answers instead: the log would
/// not know of them.
#[derive(Debug, Clone)]
pub(crate) struct InVain(pub(crate) Vec<Attempt>);

/// A model of the chain is being asked. Boxed by who holds it: it is large and rare.
pub(super) struct StandingIn {
    pub(super) failed: Failed,
    pub(super) asked: Asked,
}

/// What has failed before.
pub(super) struct Failed {
    pub(super) original: Original,
    pub(super) in_vain: Vec<Attempt>,
}

/// A model that is asked instead.
pub(super) struct Asked {
    /// The request, by its name.
    pub(super) request: InferenceRequest,
    /// Its place in the chain.
    pub(super) at: usize,
    grant: Grant,
}

/// What the caller gets if nothing else does better.
pub(super) enum Original {
    Error(Error),
    /// The failure of a service that is not ours, boxed since it is large and rare.
    Answer(Box<Response<Body>>),
}

/// The request for this model, unless its limits refuse, or it is none that its caller may see.
pub(super) fn admitted(
    policies: &Policies,
    request: &InferenceRequest,
    at: usize,
    link: &Link,
) -> Option<Asked> {
    let visible = request.extensions.get::<VisibleModels>();
    if visible.is_some_and(|visible| !visible.contains(&link.name)) {
        return None;
    }
    let request = request.with_model(&link.name);
    let grant = match &policies.limits {
        Some(limits) => {
            let now = Instant::now();
            limits.check(&request, now).and_then(|()| limits.acquire(&request, now)).ok()?
        }
        None => Grant::default(),
    };
    Some(Asked { request, at, grant })
}

// === impl Asked ===

impl Asked {
    /// Its answer, saying so.
    pub(super) fn signed<B>(
        self,
        policies: &Policies,
        original: &InferenceRequest,
        answer: Response<B>,
        in_vain: Vec<Attempt>,
    ) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
    {
        let (mut grant, mut answer) = (self.grant, answer);
        grant.answered(answer.extensions_mut());
        let mut answer = match &policies.limits {
            Some(_) => answer.map(|body| Body::new(GuardedBody::new(body, grant))),
            None => answer.map(Body::new),
        };
        let headers = answer.headers_mut();
        headers.insert(FALLBACK, HeaderValue::from_static("model"));
        let link = policies.chain(&original.model).get(self.at);
        match link.and_then(|link| link.header.clone()) {
            Some(name) => headers.insert(MODEL, name),
            None => headers.remove(MODEL),
        };
        if let Some(attempts) = headers.get_mut(ATTEMPTS)
            && let Some(own) = attempts.to_str().ok().and_then(|own| own.parse::<usize>().ok())
        {
            *attempts = HeaderValue::from(own + in_vain.len());
        }
        told(answer, in_vain)
    }

    /// It has failed, too.
    pub(super) fn refused(self, policies: &Policies, error: Option<&Error>) {
        self.grant.refused();
        // Refused before anybody saw it: that spends nothing.
        if let (Some(limits), Some(true)) = (&policies.limits, error.map(Error::is_unsent)) {
            limits.give_back(&self.request, Instant::now());
        }
    }
}

/// This answer, for the log with the instances that were asked in vain.
fn told(mut answer: Response<Body>, in_vain: Vec<Attempt>) -> Response<Body> {
    if !in_vain.is_empty() {
        answer.extensions_mut().insert(InVain(in_vain));
    }
    answer
}

// === impl Failed ===

impl Failed {
    pub(super) fn new<B>(outcome: Result<Response<B>, Error>) -> Self
    where
        B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
    {
        let attempts = outcome.as_ref().err().map(|error| error.attempts().to_vec());
        Self { original: Original::new(outcome), in_vain: attempts.unwrap_or_default() }
    }

    /// Another one has failed.
    pub(super) fn note<B>(&mut self, outcome: &Result<Response<B>, Error>) {
        if let Err(error) = outcome {
            self.in_vain.extend_from_slice(error.attempts());
        }
    }

    /// The answer that comes instead, if there is one.
    pub(super) fn give(self, instead: Option<Response<Body>>) -> Result<Response<Body>, Error> {
        match instead {
            Some(answer) => Ok(told(answer, self.in_vain)),
            // Those that stood in have seen it.
            None if !self.in_vain.is_empty() => self.original.give().map_err(Error::sent),
            None => self.original.give(),
        }
    }
}

// === impl Original ===

impl Original {
    fn new<B>(outcome: Result<Response<B>, Error>) -> Self
    where
        B: HttpBody<Data = Bytes, Error = Error> + Send + 'static,
    {
        match outcome {
            Ok(answer) => Self::Answer(Box::new(answer.map(Body::new))),
            Err(error) => Self::Error(error),
        }
    }

    pub(super) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Error(error) => Some(error.kind()),
            Self::Answer(answer) => Kind::of_status(answer.status()),
        }
    }

    fn give(self) -> Result<Response<Body>, Error> {
        match self {
            Self::Error(error) => Err(error),
            Self::Answer(answer) => Ok(*answer),
        }
    }
}
