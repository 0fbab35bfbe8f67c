//! `GET /v1/models`: what can be asked.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::VisibleModels;
use crate::error::{Error, Kind};

/// The models that are listed, and the list as it is sent.
#[derive(Clone)]
pub(super) struct Models {
    ids: Arc<[Box<str>]>,
    list: Bytes,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Card<'a>>,
}

/// Every key is there: the official SDKs read them without asking. When the engines' models were
/// made is not known.
#[derive(Serialize)]
struct Card<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
}

impl<'a> Card<'a> {
    fn new(id: &'a str) -> Self {
        Self { id, object: "model", created: 0, owned_by: "jairouter" }
    }
}

impl Models {
    pub(super) fn new(models: impl Iterator<Item = Box<str>>) -> Self {
        let mut ids: Vec<Box<str>> = Vec::new();
        for id in models {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let list = list(ids.iter());
        Self { ids: ids.into(), list }
    }

    /// All of them, or those that this caller may see.
    pub(super) fn list(&self, visible: Option<&VisibleModels>) -> Bytes {
        match visible {
            Some(VisibleModels(is_visible)) => list(self.ids.iter().filter(|id| is_visible(id))),
            None => self.list.clone(),
        }
    }

    /// The card of one model. Its name stands in the path percent-encoded, or plain, slashes and
    /// all: both are sent.
    pub(super) fn card(
        &self,
        written: &str,
        visible: Option<&VisibleModels>,
    ) -> Result<Bytes, Error> {
        let is_visible = |id: &str| visible.is_none_or(|VisibleModels(is_visible)| is_visible(id));
        let name = percent_decode_str(written).decode_utf8_lossy();
        match self.ids.iter().find(|id| [&*name, written].contains(&&***id)) {
            Some(id) if is_visible(id) => Ok(json(&Card::new(id))),
            _ => {
                let name: String = name.chars().filter(|c| !c.is_control()).take(256).collect();
                let message = format!("the model '{name}' does not exist");
                Err(Error::new(Kind::NoModel, message).with_param("model"))
            }
        }
    }
}

impl Default for Models {
    fn default() -> Self {
        Self::new(std::iter::empty())
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.ids).finish()
    }
}

fn list<'a>(ids: impl Iterator<Item = &'a Box<str>>) -> Bytes {
    json(&List { object: "list", data: ids.map(|id| Card::new(id)).collect() })
}

fn json(value: &impl Serialize) -> Bytes {
    // Writing strings to memory cannot fail.
    serde_json::to_vec(value).map(Bytes::from).unwrap_or_default()
}
