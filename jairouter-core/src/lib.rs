//! The layers of JAiRouter.

pub mod backend;
pub mod balance;
pub mod body;
#[cfg(feature = "client")]
pub mod client;
pub mod endpoint;
pub mod envelope;
pub mod error;
pub mod gateway;
pub mod observe;
mod peek;
pub mod refusal;
pub mod request;
pub mod router;
pub mod translate;
pub mod upstream;

pub use backend::{Backend, Route};
pub use body::{Body, BodyGuard, End, GuardedBody};
pub use endpoint::{Endpoint, ServiceType};
pub use error::{BoxError, Error, Kind};
pub use gateway::Gateway;
pub use request::{InferenceRequest, Model};
pub use router::Router;
pub use upstream::Upstream;
