//! The configuration: YAML in, a checked and resolved [`Config`] out, or every error in it at once.
//!
//! [`Config::read`] and [`Config::parse`] are all that most need. [`load`] takes another environment than the
//! process's. [`tree`], [`merge`] and [`rewrite`] change the text of a configuration, and leave the rest of it as
//! somebody wrote it.
//!
//! ```
//! let yaml = r#"
//! model:
//!   services:
//!     chat:
//!       instances:
//!         - { name: "qwen3:1.7b", adapter: ollama, base-url: "http://10.0.0.1:11434" }
//! "#;
//! let config = jairouter_config::config::load(yaml, &|_| None).expect("it is right");
//! assert_eq!(config.services[0].instances[0].id, "qwen3:1.7b@10.0.0.1:11434");
//!
//! let wrong = yaml.replace("ollama", "olama");
//! let errors = jairouter_config::config::load(&wrong, &|_| None).unwrap_err();
//! assert!(errors[0].to_string().starts_with("6:"), "the line is named");
//! ```

mod adapters;
mod edit;
mod env;
mod error;
mod files;
mod governed;
mod identity;
mod instance;
mod jwt;
mod map;
mod mentions;
mod model;
mod names;
mod node;
mod reader;
mod sections;
mod security;
mod server;
mod tls;
mod traces;
mod tree;
mod types;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use edit::rewrite;
pub use error::{Diagnostic, LoadError};
pub(crate) use files::ReadFile;
pub use governed::{
    Cache, Canned, CircuitBreaker, Concurrency, Discovery, Fallback, HealthCheck, LimitAlgorithm,
    Queue, RateLimit, Said, Scope,
};
pub use instance::is_model_name;
pub use jwt::Jwt;
pub(crate) use jwt::{Jwks, KeySource};
pub(crate) use names::fold;
pub use node::{Node, Value, parse};
pub(crate) use sections::answer;
pub use sections::service_type;
pub use security::written;
pub use security::{Key, Rights, Security};
pub use tls::{Identity, Tls};
pub use traces::of_the_environment as collector;
pub use traces::{Otlp, Tracing};
pub use tree::{MASK, masked, merge, references, spelled, tree};
pub use types::{
    Balance, BalanceKind, Config, Http2, Inactive, Instance, Log, LogFormat, Management, ModelName,
    Models, Retry, Server, Service, Tell, Text,
};
pub use value::duration;

use reader::Reader;

/// The largest file taken, in bytes.
const LARGEST: usize = 1 << 20;

impl Config {
    /// Checks and resolves a configuration. `${NAME}` in it is of the process's environment.
    ///
    /// # Errors
    ///
    /// [`LoadError::Wrong`], with everything that is wrong with it, each with its line.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        load(text, &of_the_process).map_err(LoadError::Wrong)
    }

    /// The same of a file of at most 1 MiB. Blocks while it and the certificates and keys that it names are read.
    ///
    /// # Errors
    ///
    /// [`LoadError::Unreadable`] if it cannot be read, or is no UTF-8; else as [`parse`](Self::parse).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::read_noting(path.as_ref(), &mut Vec::new())
    }

    /// The same, and which files were read for it, or looked for.
    pub(crate) fn read_noting(path: &Path, files: &mut Vec<ReadFile>) -> Result<Self, LoadError> {
        let text = read(path).map_err(LoadError::Unreadable)?;
        load_noting(&text, &of_the_process, files).map_err(LoadError::Wrong)
    }
}

fn of_the_process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads a file of at most 1 MiB.
///
/// # Errors
///
/// If it cannot be read, is longer, or is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST as u64 + 1).read_to_string(&mut text)?;
    match text.len() {
        0..=LARGEST => Ok(text),
        _ => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")),
    }
}

/// Checks and resolves a configuration. `env` looks up environment variables.
///
/// # Errors
///
/// Everything that is wrong with it, in the order of its lines.
pub fn load(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, Vec<Diagnostic>> {
    load_noting(text, env, &mut Vec::new())
}

/// The same, and which files were read for it, or looked for.
fn load_noting(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    files: &mut Vec<ReadFile>,
) -> Result<Config, Vec<Diagnostic>> {
    if text.len() > LARGEST {
        let message = "the configuration is larger than 1 MiB".to_owned();
        return Err(vec![Diagnostic { line: 1, column: 1, path: String::new(), message }]);
    }
    let root = parse(text).map_err(|error| vec![error])?;
    let reader = Reader::new(env);
    let mut config = Config { text: Some(Text(text.into())), ..Config::default() };
    if let Some(mut map) = reader.root(&root).map() {
        if let Some(field) = map.take("server") {
            server::server(&field, &mut config.server);
        }
        map.refuse_blank("security", "this says nothing; leave it out, and anybody may ask");
        if let Some(field) = map.take("security") {
            config.security = security::security(&field);
        }
        if let Some(field) = map.take("management") {
            server::management(&field, &mut config.management);
        }
        if let Some(field) = map.take("tracing") {
            traces::tracing(&field, env, &mut config.tracing);
        }
        if config.tracing.otlp.is_none() {
            match traces::of_the_environment(env) {
                Ok(otlp) => config.tracing.otlp = otlp,
                Err(error) => map.error(error),
            }
        }
        match map.take("model") {
            Some(field) => config.services = model::services(&field),
            None => map.error("there is no 'model', which says what is served"),
        }
        for (foreign, what) in FOREIGN {
            if let Some(field) = map.foreign(foreign) {
                field.inactive(what);
            }
        }
        map.finish();
    }
    let (errors, inactive, read) = reader.done();
    files.extend(read);
    if errors.is_empty() {
        config.inactive = inactive;
        Ok(config)
    } else {
        Err(errors)
    }
}

/// Spring's own sections, which a file of the original project may hold.
const FOREIGN: [(&str, &str); 3] = [
    ("spring", "what is Spring's own means nothing here"),
    ("logging", "Spring's logging means nothing here: see 'server.log'"),
    ("springdoc", "Spring's API pages are not here"),
];

#[cfg(test)]
pub(crate) use map::paths_asked;
#[cfg(test)]
pub(crate) use tests::documented::whole_examples;

#[cfg(test)]
mod tests;
