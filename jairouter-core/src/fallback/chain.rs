use http::HeaderValue;

use crate::error::{Error, Kind};

/// Other models to ask, one after the other, when the one that was asked for has no answer.
///
/// Each is asked through the same service, so it must be known there by this name. None is asked
/// twice for one request, nor the model the caller named. The first that does not fail answers;
/// what the others fail with is not told, whatever it is. No further one is asked once the request's
/// deadline has passed.
#[derive(Debug, Clone, Default)]
pub struct ModelChain {
    models: Box<[Link]>,
    on_context_length: bool,
    on_missing_model: bool,
}

/// One model of a chain.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) name: Box<str>,
    /// The name, as the caller is told it. A name that is no header is left out there.
    pub(super) header: Option<HeaderValue>,
}

impl ModelChain {
    /// These models, in this order. An empty chain asks nobody.
    pub fn new<M: Into<Box<str>>>(models: impl IntoIterator<Item = M>) -> Self {
        let mut links: Vec<Link> = Vec::new();
        for name in models.into_iter().map(Into::into) {
            if links.iter().all(|link| link.name != name) {
                let header = HeaderValue::from_bytes(name.as_bytes()).ok();
                links.push(Link { name, header });
            }
        }
        Self { models: links.into(), ..Self::default() }
    }

    /// Whether to ask them too when a prompt is longer than the model's context: an instance's
    /// refusal that [`Error::is_context_length`] knows. Default no.
    #[must_use]
    pub fn on_context_length(mut self, ask: bool) -> Self {
        self.on_context_length = ask;
        self
    }

    /// Whether to ask them too when nobody has the model: [`Kind::NoModel`] and
    /// [`Kind::ModelAbsent`]. Default no, since it hides a misspelt name.
    #[must_use]
    pub fn on_missing_model(mut self, ask: bool) -> Self {
        self.on_missing_model = ask;
        self
    }

    /// Whether something else may answer where the model failed in this way. A status alone says
    /// nothing of lengths.
    pub(super) fn cures(&self, kind: Kind, error: Option<&Error>) -> bool {
        match kind {
            Kind::NoModel | Kind::ModelAbsent => self.on_missing_model,
            Kind::Rejected => self.on_context_length && error.is_some_and(Error::is_context_length),
            kind => kind.may_fall_back(),
        }
    }

    /// The next model at or after `from` that is not the one the caller named, and its place.
    pub(super) fn next(&self, from: usize, asked: &str) -> Option<(usize, &Link)> {
        let mut links = self.models.iter().enumerate().skip(from);
        links.find(|(_, link)| *link.name != *asked)
    }

    /// The model at this place.
    pub(super) fn get(&self, at: usize) -> Option<&Link> {
        self.models.get(at)
    }
}
