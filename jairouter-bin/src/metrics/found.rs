//! The metrics of every request, each of which is looked up once: by their labels that costs as much as the log.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use jairouter_core::Endpoint;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;

/// For each endpoint of one service, or of one model.
#[derive(Debug)]
pub(super) struct PerEndpoint<T>(Box<[T]>);

/// Of a service. What has never happened is not there, and not shown.
#[derive(Debug, Default)]
pub(super) struct OfService {
    /// Those that were answered with 200, as nearly all are.
    pub(super) ok: OnceLock<Counter>,
    pub(super) duration: OnceLock<Histogram>,
}

/// Of a model.
#[derive(Debug, Default)]
pub(super) struct OfModel {
    pub(super) duration: OnceLock<Histogram>,
    pub(super) first_token: OnceLock<Histogram>,
    pub(super) next_tokens: OnceLock<Histogram>,
    pub(super) input_tokens: OnceLock<Histogram>,
    pub(super) output_tokens: OnceLock<Histogram>,
}

/// The models that may be named: that are served, or were.
#[derive(Debug)]
pub(super) struct Models {
    named: HashMap<Arc<str>, PerEndpoint<OfModel>>,
    other: (Arc<str>, PerEndpoint<OfModel>),
}

impl<T: Default> PerEndpoint<T> {
    pub(super) fn new() -> Self {
        Self(Endpoint::ALL.iter().map(|_| T::default()).collect())
    }

    pub(super) fn of(&self, endpoint: Endpoint) -> &T {
        // They are numbered in this order.
        &self.0[endpoint as usize]
    }
}

impl Models {
    /// None. Any model is called this.
    pub(super) fn new(other: &str) -> Self {
        Self { named: HashMap::new(), other: (other.into(), PerEndpoint::new()) }
    }

    /// May be named from now on, unless `most` are already.
    pub(super) fn name(&mut self, model: &str, most: usize) {
        if self.named.len() < most && !self.named.contains_key(model) {
            self.named.insert(model.into(), PerEndpoint::new());
        }
    }

    /// What it is called, and its metrics.
    pub(super) fn of(&self, model: &str) -> (&Arc<str>, &PerEndpoint<OfModel>) {
        let (other, found) = &self.other;
        self.named.get_key_value(model).unwrap_or((other, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_its_own_place() {
        let places: PerEndpoint<OnceLock<Endpoint>> = PerEndpoint::new();
        for endpoint in Endpoint::ALL {
            places.of(*endpoint).set(*endpoint).unwrap();
        }
        for endpoint in Endpoint::ALL {
            assert_eq!(places.of(*endpoint).get(), Some(endpoint));
        }
    }

    #[test]
    fn only_so_many_models_are_named() {
        let mut models = Models::new("other");
        for model in ["a", "b", "a", "c"] {
            models.name(model, 2);
        }
        let names = ["a", "b", "c", ""].map(|model| &**models.of(model).0);
        assert_eq!(names, ["a", "b", "other", "other"]);
    }
}
