//! [`Served`]: what is served, and the handles of it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use jairouter_core::ServiceType;
use jairouter_core::rate_limit::Limiter;
use jairouter_core::waiting_room::Room;

use crate::config::{self, Config, Service};
use crate::discover::Known;

pub use crate::kept::{Attended, LimitSpec, Limited};

/// What is served at one time. What of it goes on after a reload is the same handle in both.
///
/// Its instances are probed and asked for their models for as long as one of these is held: keep the last one that
/// [`Hooks::serve`](crate::hooks::Hooks::serve) was given, and let go of the one before.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Served {
    /// The configuration.
    pub config: Arc<Config>,
    /// The models of instances that are asked for theirs.
    pub known: Known,
    /// The models that callers can ask for, once for each service that has them.
    pub models: Vec<(ServiceType, Box<str>)>,
    /// The instances, by their ids.
    pub instances: HashMap<String, Arc<Attended>>,
    /// Where requests for a model wait.
    pub rooms: Vec<(ServiceType, Box<str>, Arc<Room>)>,
    /// The limits that act.
    pub limits: Vec<ServedLimit>,
}

/// A limit that acts.
#[derive(Clone)]
#[non_exhaustive]
pub struct ServedLimit {
    /// The service; `any` of a key's.
    pub service: &'static str,
    /// A service, an instance or a key.
    pub place: String,
    /// As callers read it when it is exceeded.
    pub name: String,
    /// What it is made of.
    pub spec: LimitSpec,
    /// The limit.
    pub limit: Arc<dyn Limiter>,
}

impl Served {
    /// The service of this type, by the first word of what people call it.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.config.services.iter().find(|service| service.service_type.as_str() == name)
    }

    /// Every instance of every service, in the order of the file.
    pub fn each(&self) -> impl Iterator<Item = (ServiceType, &config::Instance, &Attended)> {
        self.config.services.iter().flat_map(|service| {
            let instances = service.instances.iter();
            instances.filter_map(|one| {
                let attended = self.instances.get(&one.id)?;
                Some((service.service_type, one, &**attended))
            })
        })
    }
}

impl fmt::Debug for ServedLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServedLimit").field("name", &self.name).finish_non_exhaustive()
    }
}
