//! The layers of JAiRouter.

pub mod endpoint;

pub use endpoint::{Endpoint, ServiceType};
