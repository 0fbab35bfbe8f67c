use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::Service;

use super::routed::Routed;
use crate::endpoint::Endpoints;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

/// Sends each request to the service of the model it names. Names are compared exactly.
///
/// ```
/// use http::{HeaderMap, Response};
/// use jairouter_core::router::ModelRouter;
/// use jairouter_core::{Body, Endpoint, Error, InferenceRequest};
/// use tower::{ServiceExt, service_fn};
///
/// # futures::executor::block_on(async {
/// let [small, large] = ["small", "large"].map(|name| {
///     let answer = move |_: InferenceRequest| async move {
///         Ok::<_, Error>(Response::new(Body::from(name)))
///     };
///     (name, service_fn(answer))
/// });
/// let models = ModelRouter::new([small, large]);
///
/// let ask = |payload: &'static str| {
///     InferenceRequest::new(Endpoint::ChatCompletions, HeaderMap::new(), payload.into())
/// };
/// let answer = models.clone().oneshot(ask(r#"{"model":"large"}"#)?).await?;
/// assert_eq!(answer.status(), 200);
/// let error = models.oneshot(ask(r#"{"model":"huge"}"#)?).await.unwrap_err();
/// assert_eq!(error.code(), "model_not_found");
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// [`Kind::NoModel`] for any other name, or [`Kind::NoInstance`] while not all models are known;
/// [`Kind::Unsupported`] for an endpoint that the model is known
/// not to offer, with the models that do.
pub struct ModelRouter<S> {
    models: Arc<HashMap<Box<str>, Entry<S>>>,
    incomplete: bool,
}

struct Entry<S> {
    service: S,
    offers: Endpoints,
}

/// When to come back for a model that is not known yet.
const SOON: Duration = Duration::from_secs(1);

/// The most models a refusal names.
const MOST_NAMED: usize = 10;

impl<S> ModelRouter<S> {
    /// Routes to these services; of two of one name the last counts.
    pub fn new<M: Into<Box<str>>>(models: impl IntoIterator<Item = (M, S)>) -> Self {
        let models = models.into_iter();
        Self::offering(models.map(|(name, service)| (name.into(), Endpoints::ALL, service)))
    }

    /// The same where it is known what each offers.
    pub(super) fn offering(models: impl IntoIterator<Item = (Box<str>, Endpoints, S)>) -> Self {
        let models = models.into_iter();
        let models = models.map(|(name, offers, service)| (name, Entry { service, offers }));
        Self { models: Arc::new(models.collect()), incomplete: false }
    }

    /// The same where there may be others, too, that are not known yet.
    pub(super) fn incomplete(self, incomplete: bool) -> Self {
        Self { incomplete, ..self }
    }

    /// The models and their services, in no particular order.
    pub fn models(&self) -> impl Iterator<Item = (&str, &S)> {
        self.models.iter().map(|(name, entry)| (&**name, &entry.service))
    }

    /// The same models with other services.
    pub(super) fn map<T>(&self, mut service: impl FnMut(&S) -> T) -> ModelRouter<T> {
        let models = self.models.iter();
        let models =
            models.map(|(name, entry)| (name.clone(), entry.offers, service(&entry.service)));
        ModelRouter::offering(models).incomplete(self.incomplete)
    }

    fn unsupported(&self, request: &InferenceRequest) -> Error {
        let (model, endpoint) = (&request.model, request.endpoint);
        let offer = self.models.iter().filter(|(_, entry)| entry.offers.contains(endpoint));
        let mut names: Vec<_> = offer.map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let others = match &names[..] {
            [] => "and no other does".to_owned(),
            names if names.len() > MOST_NAMED => {
                let (named, rest) = names.split_at(MOST_NAMED);
                format!("these do: {} and {} more", named.join(", "), rest.len())
            }
            names => format!("these do: {}", names.join(", ")),
        };
        let message = format!("the model '{model}' does not offer {endpoint}; {others}");
        Error::new(Kind::Unsupported, message).with_param("model")
    }
}

impl<S> Service<InferenceRequest> for ModelRouter<S>
where
    S: Service<InferenceRequest, Error = Error> + Clone,
{
    type Response = S::Response;
    type Error = Error;
    type Future = Routed<S>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        match self.models.get(&*request.model) {
            Some(entry) if !entry.offers.contains(request.endpoint) => {
                Routed::refused(self.unsupported(&request))
            }
            Some(entry) => Routed::chosen(entry.service.clone(), request),
            None if self.incomplete => {
                let message = format!(
                    "the model '{}' is not known yet: not every engine has said which it has",
                    request.model
                );
                let error = Error::new(Kind::NoInstance, message).with_param("model");
                Routed::refused(error.with_retry_after(SOON).unsent())
            }
            None => {
                let message = format!("the model '{}' does not exist", request.model);
                Routed::refused(Error::new(Kind::NoModel, message).with_param("model"))
            }
        }
    }
}

impl<S> Clone for ModelRouter<S> {
    fn clone(&self) -> Self {
        Self { models: Arc::clone(&self.models), incomplete: self.incomplete }
    }
}

impl<S> fmt::Debug for ModelRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.models.keys()).finish()
    }
}
