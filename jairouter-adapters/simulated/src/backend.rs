//! [`Simulated`]: how the engine is spoken to.

use std::borrow::Cow;

use jairouter_core::{Backend, Endpoint, Route};

/// The words of [`Engine`](crate::Engine), which are OpenAI's: chats, completions and embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Simulated;

impl Simulated {
    /// The backend; it has no settings.
    pub const fn new() -> Self {
        Self
    }
}

impl Backend for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match route.endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions | Endpoint::Embeddings => {
                Some(route.endpoint.path().into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_offers_what_the_engine_answers() {
        let offered = Endpoint::ALL.iter().filter(|&&endpoint| {
            Simulated::new().path(&Route::new(endpoint, "m", false)).is_some()
        });
        assert_eq!(offered.count(), 3);
        assert_eq!(
            (Simulated::new().name(), &*Simulated::new().health()),
            ("simulated", "/health")
        );
    }
}
