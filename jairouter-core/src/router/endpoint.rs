use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::Service;

use super::routed::Routed;
use crate::endpoint::ServiceType;
use crate::error::{Error, Kind};
use crate::request::InferenceRequest;

/// Sends each request to the service of its endpoint's type.
///
/// ```
/// use http::{HeaderMap, Response};
/// use jairouter_core::router::EndpointRouter;
/// use jairouter_core::{Body, Endpoint, Error, InferenceRequest, ServiceType};
/// use tower::{ServiceExt, service_fn};
///
/// # futures::executor::block_on(async {
/// let [chat, embedding] = [ServiceType::Chat, ServiceType::Embedding].map(|service| {
///     let answer = move |_: InferenceRequest| async move {
///         Ok::<_, Error>(Response::new(Body::from(service.as_str())))
///     };
///     (service, service_fn(answer))
/// });
/// let services = EndpointRouter::new([chat, embedding]);
///
/// let payload = r#"{"model":"m","input":"x"}"#.into();
/// let request = InferenceRequest::new(Endpoint::Embeddings, HeaderMap::new(), payload)?;
/// assert_eq!(services.oneshot(request).await?.status(), 200);
/// # Ok::<(), Error>(())
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// [`Kind::NoModel`] if no service of that type is configured: to the caller that is a model that
/// does not exist there.
pub struct EndpointRouter<S> {
    services: Arc<[Option<S>; ServiceType::ALL.len()]>,
}

impl<S> EndpointRouter<S> {
    /// Routes to these services; of two of one type the last counts.
    pub fn new(services: impl IntoIterator<Item = (ServiceType, S)>) -> Self {
        let mut table = std::array::from_fn(|_| None);
        for (service_type, service) in services {
            table[service_type.index()] = Some(service);
        }
        Self { services: Arc::new(table) }
    }

    /// The services and their types.
    pub fn services(&self) -> impl Iterator<Item = (ServiceType, &S)> {
        let typed = ServiceType::ALL.into_iter().zip(&*self.services);
        typed.filter_map(|(service_type, service)| Some((service_type, service.as_ref()?)))
    }
}

impl<S> Service<InferenceRequest> for EndpointRouter<S>
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
        match &self.services[request.endpoint.service_type().index()] {
            Some(service) => Routed::chosen(service.clone(), request),
            None => {
                let message = format!("no model is served at {}", request.endpoint);
                Routed::refused(Error::new(Kind::NoModel, message).with_param("model"))
            }
        }
    }
}

impl<S> Clone for EndpointRouter<S> {
    fn clone(&self) -> Self {
        Self { services: Arc::clone(&self.services) }
    }
}

impl<S> fmt::Debug for EndpointRouter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.services().map(|(service_type, _)| service_type)).finish()
    }
}
