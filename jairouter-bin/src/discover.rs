//! Without a configuration: which engines run on this machine, and what they serve.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Limited};
use jairouter_core::Backend;
use jairouter_core::Payload;
use jairouter_core::client::HttpClient;
use jairouter_core::upstream::Target;
use tokio::time::timeout;
use tower::ServiceExt;

/// How long an engine may take to list its models. It is on this machine.
const PATIENCE: Duration = Duration::from_millis(800);

/// The longest list read.
const LARGEST_LIST: usize = 1 << 20;

/// The ports the field's engines listen on by default, and how they are spoken to.
const USUAL: [Usual; 6] = [
    Usual { engine: "Ollama", port: 11434, adapter: "ollama" },
    Usual { engine: "vLLM", port: 8000, adapter: "vllm" },
    Usual { engine: "SGLang", port: 30000, adapter: "sglang" },
    Usual { engine: "llama.cpp", port: 8080, adapter: "llamacpp" },
    Usual { engine: "LM Studio", port: 1234, adapter: "normal" },
    Usual { engine: "Xinference", port: 9997, adapter: "xinference" },
];

struct Usual {
    engine: &'static str,
    port: u16,
    adapter: &'static str,
}

/// An engine that answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// What usually listens there.
    pub engine: &'static str,
    /// The adapter that speaks to it.
    pub adapter: &'static str,
    /// Where it is.
    pub base_url: String,
    /// What it serves, at least one.
    pub models: Vec<String>,
}

/// Asks the usual ports, all at once, and returns who answered, in the order of the table.
pub async fn engines() -> Vec<Found> {
    let asked = USUAL.iter().map(|usual| async move {
        let base_url = format!("http://127.0.0.1:{}", usual.port);
        let models = timeout(PATIENCE, models(usual.adapter, &base_url)).await.ok()??;
        let found = Found { engine: usual.engine, adapter: usual.adapter, base_url, models };
        (!found.models.is_empty()).then_some(found)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// The models that answer there in this adapter's words, if anything does.
async fn models(adapter: &str, base_url: &str) -> Option<Vec<String>> {
    let backend: Arc<dyn Backend> = jairouter_adapters::by_name(adapter)?;
    let target: Target = base_url.parse().ok()?;
    let client = HttpClient::builder().connect_timeout(PATIENCE).build(target.authority());
    let uri = target.uri(backend.models()).ok()?;
    let request = match backend.models_request() {
        None => Request::get(uri).body(Payload::default()).ok()?,
        Some(body) => Request::post(uri)
            .header(CONTENT_TYPE, "application/json")
            .body(Payload::from(body))
            .ok()?,
    };
    let answer = client.oneshot(request).await.ok()?;
    if !answer.status().is_success() {
        return None;
    }
    let list = Limited::new(answer.into_body(), LARGEST_LIST).collect().await.ok()?.to_bytes();
    // A gateway of our own is not an engine: asking it would go round in circles.
    if memchr::memmem::find(&list, br#""owned_by":"jairouter""#).is_some() {
        return None;
    }
    backend.model_names(&list).ok()
}
