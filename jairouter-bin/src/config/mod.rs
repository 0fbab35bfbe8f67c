//! The configuration: YAML in, a checked and resolved [`Config`] out, or every error in it at once.
//!
//! ```
//! let yaml = r#"
//! model:
//!   services:
//!     chat:
//!       instances:
//!         - { name: "qwen3:1.7b", adapter: ollama, base-url: "http://10.0.0.1:11434" }
//! "#;
//! let config = jairouter_bin::config::load(yaml, &|_| None).expect("it is right");
//! assert_eq!(config.services[0].instances[0].id, "qwen3:1.7b@10.0.0.1:11434");
//!
//! let wrong = yaml.replace("ollama", "olama");
//! let errors = jairouter_bin::config::load(&wrong, &|_| None).unwrap_err();
//! assert!(errors[0].to_string().starts_with("6:"), "the line is named");
//! ```

mod adapters;
mod edit;
mod env;
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

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub(crate) use edit::rewrite;
pub(crate) use files::ReadFile;
pub use governed::{
    Cache, Canned, CircuitBreaker, Concurrency, Discovery, Fallback, HealthCheck, LimitAlgorithm,
    Queue, RateLimit, Said, Scope,
};
pub(crate) use instance::is_model_name;
pub use jwt::Jwt;
pub(crate) use jwt::{Jwks, KeySource};
pub(crate) use names::fold;
pub(crate) use node::{Node, Value, parse};
pub(crate) use sections::{answer, service_type};
pub(crate) use security::written;
pub use security::{Key, Rights, Security};
pub use tls::{Identity, Tls};
pub(crate) use traces::of_the_environment as collector;
pub use traces::{Otlp, Tracing};
pub(crate) use tree::{masked, merge, references, spelled, tree};
pub use types::{
    Balance, BalanceKind, Config, Http2, Inactive, Instance, Log, LogFormat, Management, ModelName,
    Models, Retry, Server, Service, Tell, Text,
};
pub(crate) use value::duration;

use reader::Reader;

/// The largest file taken, in bytes.
const LARGEST: usize = 1 << 20;

/// What is wrong in a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1.
    pub column: usize,
    /// The keys that lead there, as in `model.services.chat.instances[0].base-url`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
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
pub(crate) fn load_noting(
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
