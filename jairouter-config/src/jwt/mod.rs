//! JSON Web Tokens beside API keys: who holds one that the issuer has signed may ask.

mod algorithm;
mod claims;
mod fetch;
mod holders;
mod keys;
mod token;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwapOption, Guard};
use jairouter_core::ServiceType;
use jairouter_core::rate_limit::Limiter;
use jiff::Timestamp;
use tokio::sync::Notify;

pub use algorithm::Algorithm;
pub(crate) use fetch::{first, run};
pub(crate) use holders::Holders;
pub use keys::KeySet;
pub(crate) use token::LONGEST;

use crate::config;
use crate::keys::{Key, Served};
use holders::Full;
use token::Why;

/// How many tokens are remembered that were found good: a signature is looked at once for each.
const REMEMBERED: usize = 4096;

/// The keys that tokens are checked with: those of now, and whether others are wanted.
#[derive(Debug, Default)]
pub(crate) struct Current {
    set: ArcSwapOption<KeySet>,
    /// Somebody came with a token whose key is not in the set.
    wanted: Notify,
}

/// Whose tokens are taken.
pub(crate) struct Door {
    settings: Arc<config::Jwt>,
    current: Arc<Current>,
    holders: Arc<Holders>,
    served: Arc<Served>,
    good: Box<[ArcSwapOption<Good>]>,
}

/// A token that was found good.
struct Good {
    digest: [u8; 32],
    /// The number of the keys it was checked with.
    set: u64,
    from: f64,
    until: f64,
    key: Arc<Key>,
}

/// Why a token lets nobody in.
pub(crate) enum Denied {
    /// It is not good. For the log alone.
    Bad(Why),
    /// There is no room for another holder's limits.
    Full,
}

impl Current {
    /// Keys that are there already, or none yet.
    pub(crate) fn new(set: Option<Arc<KeySet>>) -> Self {
        Self { set: ArcSwapOption::new(set), wanted: Notify::new() }
    }

    /// Checks with these from now on, if they are newer. Whether they are others.
    pub(crate) fn replace(&self, set: Arc<KeySet>) -> bool {
        // What was found good by the same keys stays so.
        let is_new = self.set.load().as_ref().is_none_or(|old| set.succeeds(old));
        if is_new {
            self.set.store(Some(set));
        }
        is_new
    }
}

impl Door {
    pub(crate) fn new(
        settings: Arc<config::Jwt>,
        current: Arc<Current>,
        holders: Arc<Holders>,
        served: Arc<Served>,
    ) -> Self {
        let good = std::iter::repeat_with(ArcSwapOption::empty).take(REMEMBERED).collect();
        Self { settings, current, holders, served, good }
    }

    /// What the holder of this token is let in with.
    ///
    /// # Errors
    ///
    /// Why it is not let in.
    pub(crate) fn admit(
        &self,
        token: &[u8],
        digest: &[u8; 32],
        now: Timestamp,
    ) -> Result<Arc<Key>, Denied> {
        let now = now.as_millisecond() as f64 / 1000.0;
        let set = self.set().map_err(Denied::Bad)?;
        let slot = &self.good[slot(digest)];
        if let Some(good) = &*slot.load()
            && good.digest == *digest
            && good.set == set.number()
            && (good.from..good.until).contains(&now)
        {
            return Ok(Arc::clone(&good.key));
        }
        let claims = self.read(token, &set).map_err(Denied::Bad)?;
        let holder = claims::holder(&claims, &self.settings, now).map_err(Denied::Bad)?;
        let limits = self.holders.limits(&holder.id, &holder.rights);
        let limits = limits.map_err(|Full| Denied::Full)?;
        let limits = limits.into_iter().map(|limits| limits as Arc<dyn Limiter>).collect();
        let settings = config::Key {
            name: holder.name,
            digest: holder.id,
            rights: holder.rights,
            expires: None,
        };
        let key = Arc::new(Key::new(settings, limits, &self.served));
        let (digest, set) = (*digest, set.number());
        let good =
            Good { digest, set, from: holder.from, until: holder.until, key: Arc::clone(&key) };
        slot.store(Some(Arc::new(good)));
        Ok(key)
    }

    /// Whether it is a token of the issuer's, good or not any more: such a one goes to no engine.
    pub(crate) fn has_signed(&self, token: &[u8]) -> bool {
        self.set().is_ok_and(|set| self.read(token, &set).is_ok())
    }

    /// Whether it has the form of a token.
    pub(crate) fn is_for(token: &[u8]) -> bool {
        token::looks_like_one(token)
    }

    fn set(&self) -> Result<Arc<KeySet>, Why> {
        let set = self.current.set.load();
        Guard::into_inner(set).ok_or("there are no keys yet to check tokens with")
    }

    fn read(&self, token: &[u8], set: &KeySet) -> Result<token::Claims, Why> {
        let claims = token::read(token, &self.settings.algorithms, set);
        if matches!(claims, Err(why) if why == token::UNKNOWN_KEY) {
            // The issuer may have another by now. Who asks does not wait for it.
            self.current.wanted.notify_one();
        }
        claims
    }
}

fn slot(digest: &[u8; 32]) -> usize {
    usize::from(u16::from_le_bytes([digest[0], digest[1]])) % REMEMBERED
}

/// Which services have each model.
pub(crate) fn served<'a>(
    models: impl Iterator<Item = (ServiceType, &'a str)>,
) -> HashMap<Box<str>, Vec<ServiceType>> {
    let mut served: HashMap<Box<str>, Vec<ServiceType>> = HashMap::new();
    for (service, model) in models {
        served.entry(model.into()).or_default().push(service);
    }
    served
}

#[cfg(test)]
mod tests;
