use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jairouter_core::{Backend, Endpoint};
use serde::Deserialize;
use serde_json::Value;

use crate::check;
use crate::play::{Asked, BOUNDARY, Got};
use crate::verdict::Verdict;

/// Recorded exchanges, and the folder their bodies lie in.
#[derive(Debug, Clone)]
pub struct Exchanges {
    folder: PathBuf,
    rows: Vec<Exchange>,
    empty: Vec<(String, Value)>,
    pub(crate) ends_with_body: bool,
}

/// A question and its answer, on the engine's side and on the caller's.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Exchange {
    /// Whose words they are.
    #[serde(default)]
    pub framework: String,
    /// What the exchange is called, once in a framework.
    pub case: String,
    /// What it is about: an endpoint, or `models`, `error`, `health` and the like.
    #[serde(default)]
    pub service: String,
    /// Whether the answer is a stream.
    #[serde(default)]
    pub stream: bool,
    /// The engine's side.
    pub upstream: Engine,
    /// The caller's side, if it is another.
    #[serde(default)]
    pub client: Option<Caller>,
    /// The bodies' files, by their parts.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Whether the caller's request is the engine's in other words.
    #[serde(default)]
    pub request_pair: bool,
    /// Whether the engine's answer is the caller's in other words.
    #[serde(default)]
    pub response_pair: bool,
    /// Whether it was made for this project (`constructed`) or quotes another.
    #[serde(default)]
    pub provenance: String,
}

/// The engine's side of an exchange.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Engine {
    /// The method.
    pub method: String,
    /// The path and query.
    pub path: String,
    /// The status.
    pub status: u16,
    /// The answer's content type.
    #[serde(default)]
    pub content_type: String,
    /// Headers of the request; those that hold a `$` are the instance's own.
    #[serde(default)]
    pub request_headers: BTreeMap<String, String>,
    /// More headers of the answer.
    #[serde(default)]
    pub response_headers: BTreeMap<String, String>,
}

/// The caller's side of an exchange.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct Caller {
    /// The path.
    pub path: String,
    /// The status.
    pub status: u16,
}

/// Why a folder of exchanges cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It has no index that can be opened.
    #[error("{}: {source}", index.display())]
    Index {
        /// The file.
        index: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The index is no list of exchanges.
    #[error("{}: {source}", index.display())]
    Json {
        /// The file.
        index: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Index {
    Rows(Vec<Exchange>),
    Wrapped { exchanges: Vec<Exchange> },
}

impl Exchanges {
    /// Those of `index.json` in this folder.
    ///
    /// # Errors
    ///
    /// If there is none, or it lists something else.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, ReadError> {
        let folder = folder.as_ref().to_owned();
        let index = folder.join("index.json");
        let text = match fs::read(&index) {
            Ok(text) => text,
            Err(source) => return Err(ReadError::Index { index, source }),
        };
        let rows = match serde_json::from_slice(&text) {
            Ok(Index::Rows(rows) | Index::Wrapped { exchanges: rows }) => rows,
            Err(source) => return Err(ReadError::Json { index, source }),
        };
        Ok(Self { folder, rows, empty: Vec::new(), ends_with_body: false })
    }

    /// Those of which this is true.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&Exchange) -> bool) -> Self {
        self.rows.retain(keep);
        self
    }

    /// A field of requests that says nothing when it holds this, such as a zero that a client writes
    /// out.
    #[must_use]
    pub fn says_nothing(mut self, field: &str, value: Value) -> Self {
        self.empty.push((field.to_owned(), value));
        self
    }

    /// Streams whose only end is that of their body. One that ends between two events cannot be told
    /// from a whole one, so it may look complete; one that ends inside of an event may not.
    #[must_use]
    pub fn ended_by_their_body(mut self) -> Self {
        self.ends_with_body = true;
        self
    }

    /// The exchanges.
    pub fn rows(&self) -> &[Exchange] {
        &self.rows
    }

    /// The body of this part (`request`, `response`, `openai.request`, `openai.response`), if the
    /// exchange has it.
    ///
    /// # Panics
    ///
    /// If the index names a file that cannot be read.
    pub fn body(&self, row: &Exchange, part: &str) -> Option<Bytes> {
        let file = row.files.get(part)?;
        let body = fs::read(self.folder.join(file));
        Some(body.unwrap_or_else(|error| panic!("{file}: {error}")).into())
    }

    /// Plays every exchange in which the engine is asked by a caller.
    pub fn check<B: Backend + Clone + 'static>(&self, backend: &B) -> Verdict {
        let mut verdict = Verdict::default();
        for row in self.rows.iter().filter(|row| row.is_played()) {
            verdict.add(&row.name(), check::exchange(self, row, backend));
        }
        for row in self.rows.iter().filter(|row| row.lists_models()) {
            verdict.add(&row.name(), check::models(self, row, backend));
        }
        verdict
    }

    /// What the caller of an exchange asks, if it asks anything: the endpoint, the content type and the
    /// body.
    pub fn question(&self, row: &Exchange) -> Option<(Endpoint, String, Bytes)> {
        let (endpoint, payload) = check::question(self, row)?;
        let content_type = match endpoint.is_multipart() {
            true => format!("multipart/form-data; boundary={BOUNDARY}"),
            false => "application/json".to_owned(),
        };
        Some((endpoint, content_type, payload))
    }

    /// What is wrong with an exchange that was played in another way, such as over sockets.
    pub fn judge(&self, row: &Exchange, asked: &Asked, got: &Got) -> Vec<String> {
        check::judge(self, row, asked, got)
    }

    pub(crate) fn is_empty(&self, field: &str, value: &Value) -> bool {
        let is_same = |empty: &Value| match (empty.as_f64(), value.as_f64()) {
            (Some(empty), Some(value)) => empty.total_cmp(&value).is_eq(),
            _ => empty == value,
        };
        self.empty.iter().any(|(name, empty)| name == field && is_same(empty))
    }
}

impl Exchange {
    /// What is asked, as callers call it.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let path = self.client.as_ref().map_or(&self.upstream.path, |client| &client.path);
        Endpoint::from_path(path)
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.framework, self.case)
    }

    /// The status the caller gets, where that is recorded.
    pub(crate) fn status(&self) -> Option<u16> {
        self.client.as_ref().map(|client| client.status)
    }

    /// Whether a caller asks the engine in it.
    pub fn is_played(&self) -> bool {
        self.upstream.method == "POST" && self.endpoint().is_some()
    }

    /// Whether it is the engine's list of its models.
    fn lists_models(&self) -> bool {
        const LIST: &str = "/v1/models";
        let path = self.client.as_ref().map_or(&self.upstream.path, |client| &client.path);
        path == LIST || path.starts_with(LIST) && path.contains('?')
    }
}
