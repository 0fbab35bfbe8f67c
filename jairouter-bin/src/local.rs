//! The configuration of a program that was given none.

use std::sync::Arc;

use jairouter_config::config::{Balance, BalanceKind, Config, Instance, Models, Service};
use jairouter_config::discover::{Found, Known};
use jairouter_core::{Backend, ServiceType};

/// The model of the simulated engine.
pub const SIMULATED: &str = "simulated";

/// Serves each engine's models for chat and for embeddings: an engine's list does not tell which is
/// which, and the engine refuses what a model cannot do. The simulated engine if there is none.
///
/// # Errors
///
/// If an engine's address is none, as text.
pub fn config(found: &[Found]) -> Result<(Config, Known), String> {
    let (mut config, mut known) = (Config::default(), Known::new());
    config.management.enabled = true;
    for service_type in [ServiceType::Chat, ServiceType::Embedding] {
        let balance = Balance::new(BalanceKind::LeastConnections);
        let mut service = Service::new(service_type, balance);
        for Found { adapter, base_url, models, .. } in found {
            let asked = Models::Asked(Vec::new());
            let mut instance = Instance::new(asked, backend(adapter)?, base_url)?;
            if service_type != ServiceType::Chat {
                instance.id = format!("{service_type}/{}", instance.id);
            }
            known.insert(instance.id.clone(), models.clone());
            service.instances.push(instance);
        }
        if found.is_empty() {
            let url = format!("simulated://{SIMULATED}");
            let one = Models::one(SIMULATED);
            service.instances.push(Instance::new(one, backend(SIMULATED)?, &url)?);
        }
        config.services.push(service);
    }
    Ok((config, known))
}

fn backend(adapter: &str) -> Result<Arc<dyn Backend>, String> {
    jairouter_adapters::by_name(adapter).ok_or_else(|| format!("no adapter is called '{adapter}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Program;

    #[test]
    fn what_was_found_is_served_and_otherwise_the_simulated_engine() {
        let found = Found {
            engine: "Ollama",
            adapter: "ollama",
            base_url: "http://127.0.0.1:11434".into(),
            models: vec!["a".into(), "b".into()],
        };
        let served = |found: &[Found]| {
            let (config, known) = config(found).unwrap();
            let mut models: Vec<_> = Program::new(config, known, None).unwrap().models();
            models.sort();
            models
        };
        assert_eq!(served(&[found]), ["a", "a", "b", "b"]);
        assert_eq!(served(&[]), [SIMULATED, SIMULATED]);
    }
}
