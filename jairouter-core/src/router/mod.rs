//! [`Router`]: the standard stack as one service, and the parts it is made of.
//!
//! ```text
//! EndpointRouter       endpoint → service
//!   RateLimit            of the service, its models and its callers
//!     Fallback             what answers when nobody can
//!       ModelRouter          model → its instances
//!         WaitingRoom          until one of them has a place
//!           LoadBalance          one of them, and another if it fails
//!             RateLimit            of the instance
//!               CircuitBreaker       not while it fails
//!                 Upstream             encode, send, decode
//! ```
//!
#![cfg_attr(feature = "client", doc = "```")]
#![cfg_attr(not(feature = "client"), doc = "```ignore")]
//! use std::borrow::Cow;
//! use jairouter_core::balance::LeastConnections;
//! use jairouter_core::router::{Group, Router};
//! use jairouter_core::{Backend, Route, ServiceType, Upstream};
//!
//! # struct Normal;
//! # impl Backend for Normal {
//! #     fn name(&self) -> &'static str { "normal" }
//! #     fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
//! #         Some(route.endpoint.path().into())
//! #     }
//! # }
//! # #[cfg(feature = "client")]
//! # fn example() -> Result<(), jairouter_core::upstream::InvalidTarget> {
//! let router = Router::builder()
//!     .service(
//!         ServiceType::Chat,
//!         Group::new(LeastConnections::new())
//!             .instance("qwen3", Upstream::http(Normal, "http://10.0.0.1:8000")?)
//!             .instance("qwen3", Upstream::http(Normal, "http://10.0.0.2:8000")?),
//!     )
//!     .build();
//! assert_eq!(router.models().collect::<Vec<_>>(), [(ServiceType::Chat, "qwen3")]);
//! # Ok(())
//! # }
//! # #[cfg(feature = "client")]
//! # example().unwrap();
//! ```

mod builder;
mod endpoint;
mod member;
mod model;
mod routed;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::payload::Payload;
use http::{Request, Response};
use tower::Service;

pub use builder::{Builder, Group};
pub use endpoint::EndpointRouter;
pub use member::Member;
pub use model::ModelRouter;
pub use routed::Routed;

use crate::backend::Backend;
use crate::balance::{InstanceState, LoadBalance};
use crate::body::{Body, GuardedBody};
use crate::circuit_breaker::CircuitBreaker;
use crate::endpoint::ServiceType;
use crate::error::Error;
use crate::fallback::Fallback;
use crate::gateway::Gateway;
use crate::rate_limit::{Grant, Limiter, RateLimit};
use crate::request::InferenceRequest;
use crate::upstream::Upstream;
use crate::waiting_room::{Room, WaitingRoom};

/// No limit, or this one.
type Limits = Option<Arc<dyn Limiter>>;

/// One instance, governed.
type Governed<B, C> = RateLimit<Limits, CircuitBreaker<Upstream<B, C>>>;

type Models<B, C> = ModelRouter<WaitingRoom<LoadBalance<Governed<B, C>>>>;

/// One service.
type OneService<B, C> = RateLimit<Limits, Fallback<Models<B, C>>>;

/// The standard stack, a service generic over the [`Backend`] and the HTTP client.
///
/// Cloning is a reference count. A program that picks frameworks at run time uses
/// `Router<Arc<dyn Backend>, _>`.
///
/// # Errors
///
/// Those of its parts: [`EndpointRouter`], [`RateLimit`], [`Fallback`], [`ModelRouter`],
/// [`WaitingRoom`], [`LoadBalance`], [`CircuitBreaker`] and [`Upstream`].
pub struct Router<B, C>(EndpointRouter<OneService<B, C>>);

impl<B, C> Router<B, C> {
    /// A router to be filled.
    pub fn builder() -> Builder<B, C> {
        Builder::new()
    }

    /// The models and the services they are found in.
    pub fn models(&self) -> impl Iterator<Item = (ServiceType, &str)> {
        self.0.services().flat_map(|(service_type, service)| {
            service.get_ref().get_ref().models().map(move |(name, _)| (service_type, name))
        })
    }

    /// The [`Gateway`] of this router, with its models in its list.
    pub fn into_gateway(self) -> Gateway<Self> {
        let mut models: Vec<Box<str>> = self.models().map(|(_, model)| model.into()).collect();
        models.sort_unstable();
        Gateway::new(self).with_models(models)
    }

    /// What the balancers know of every instance, each once.
    pub fn instances(&self) -> impl Iterator<Item = &Arc<InstanceState>> {
        let services = self.0.services();
        let models = services.flat_map(|(_, service)| service.get_ref().get_ref().models());
        let mut seen = HashSet::new();
        let instances = models.flat_map(|(_, room)| room.get_ref().instances());
        instances.filter(move |state| seen.insert(Arc::as_ptr(state)))
    }

    /// Where requests wait, by the service and the model they wait for.
    pub fn rooms(&self) -> impl Iterator<Item = (ServiceType, &str, &Arc<Room>)> {
        self.0.services().flat_map(|(service_type, service)| {
            let models = service.get_ref().get_ref().models();
            models.map(move |(name, room)| (service_type, name, room.room()))
        })
    }

    /// The same router with other clients, such as ones whose connections belong to another core.
    /// Both decide as one: see [`LoadBalance::map`].
    #[must_use]
    pub fn map_clients<D>(&self, mut client: impl FnMut(&C) -> D) -> Router<B, D> {
        let mut one = |governed: &Governed<B, C>| {
            governed.map(|guarded| guarded.map(|upstream| upstream.map_client(&mut client)))
        };
        let mut models =
            |models: &Models<B, C>| models.map(|room| room.map(|balance| balance.map(&mut one)));
        let services = self.0.services().map(|(service_type, service)| {
            (service_type, service.map(|fallback| fallback.map(&mut models)))
        });
        Router(EndpointRouter::new(services))
    }
}

impl<B, C, R> Service<InferenceRequest> for Router<B, C>
where
    B: Backend + 'static,
    C: Service<Request<Payload>, Response = Response<R>> + Clone + Send + 'static,
    C::Error: Into<Error>,
    C::Future: Send,
    R: Into<Body> + 'static,
{
    type Response = Response<GuardedBody<Body, Grant>>;
    type Error = Error;
    type Future = Routed<OneService<B, C>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        self.0.call(request)
    }
}

impl<B, C> Clone for Router<B, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B, C> fmt::Debug for Router<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Router").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests;
