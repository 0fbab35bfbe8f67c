//! One deployment of LiteLLM's `model_list`.

use super::Notes;
use super::tree::Tree;
use super::yaml::{Found, Section, id, plain};

/// An instance of ours.
pub(super) struct Deployment {
    /// The service it belongs to.
    pub(super) service: &'static str,
    /// What callers call its model.
    pub(super) names: Vec<String>,
    /// What it calls it.
    pub(super) own: String,
    pub(super) base_url: String,
    /// Everything else.
    pub(super) instance: Tree,
}

/// A provider: its prefix, how it is spoken to here, and where it is if nobody says.
type Provider = (&'static str, &'static str, Option<&'static str>);

const PROVIDERS: [Provider; 24] = [
    ("openai", "normal", Some("https://api.openai.com/v1")),
    ("text-completion-openai", "normal", Some("https://api.openai.com/v1")),
    ("custom_openai", "normal", None),
    ("openai_like", "normal", None),
    ("litellm_proxy", "normal", None),
    ("lm_studio", "normal", None),
    ("llamafile", "normal", None),
    ("infinity", "normal", None),
    ("hosted_vllm", "vllm", None),
    ("vllm", "vllm", None),
    ("xinference", "xinference", None),
    ("ollama", "ollama", Some("http://localhost:11434")),
    ("ollama_chat", "ollama", Some("http://localhost:11434")),
    ("anthropic", "anthropic", Some("https://api.anthropic.com")),
    ("gemini", "gemini", Some("https://generativelanguage.googleapis.com")),
    ("deepseek", "normal", Some("https://api.deepseek.com/v1")),
    ("groq", "normal", Some("https://api.groq.com/openai/v1")),
    ("mistral", "normal", Some("https://api.mistral.ai/v1")),
    ("together_ai", "normal", Some("https://api.together.xyz/v1")),
    ("openrouter", "normal", Some("https://openrouter.ai/api/v1")),
    ("fireworks_ai", "normal", Some("https://api.fireworks.ai/inference/v1")),
    ("xai", "normal", Some("https://api.x.ai/v1")),
    ("nvidia_nim", "normal", Some("https://integrate.api.nvidia.com/v1")),
    ("huggingface", "tgi", None),
];

/// Where the prefix of a well-known model is left out.
const BARE: [(&str, &str); 7] = [
    ("gpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("text-embedding-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "gemini"),
];

/// Which service of ours answers what LiteLLM calls a mode, and at which path.
const MODES: [(&str, &str, &str); 9] = [
    ("chat", "chat", "/chat/completions"),
    ("completion", "chat", "/completions"),
    ("responses", "chat", "/responses"),
    ("embedding", "embedding", "/embeddings"),
    ("rerank", "rerank", "/rerank"),
    ("audio_speech", "tts", "/audio/speech"),
    ("audio_transcription", "stt", "/audio/transcriptions"),
    ("image_generation", "imgGen", "/images/generations"),
    ("moderation", "moderation", "/moderations"),
];

/// An item of the list, if it can be served.
pub(super) fn deployment(item: Found<'_>, notes: &mut Notes) -> Option<Deployment> {
    let mut top = Section::new("model_list", item.node, notes);
    let name = top.take("model_name").and_then(Found::text).map(str::to_owned);
    let mut params = top.section("litellm_params", notes);
    let mut info = top.section("model_info", notes);
    let Some(name) = name else {
        notes.add(item.line, "a deployment without a 'model_name' is left out");
        return None;
    };
    let model = params.take("model").and_then(Found::text).unwrap_or_default();
    let given = params.take("api_base").or_else(|| params.take("base_url"));
    let line = item.line;
    let Some((own, (_, adapter, usual))) = provider(model, &mut params, given, line, notes) else {
        notes.add(
            line,
            format!("'{name}' is left out: '{model}' is of a provider that is not spoken to here"),
        );
        return None;
    };
    if own.contains("${") || name.contains("${") {
        notes.add(
            line,
            "a deployment is left out whose names hold '${', which would be the environment here",
        );
        return None;
    }
    if own.contains('*') || name.contains('*') {
        let why = "names with a '*' are not here; an instance without 'name' and 'models' serves all it has";
        notes.add(line, format!("'{name}' is left out: {why}"));
        return None;
    }
    let (service, path) = mode(&name, own, &mut info, line, notes)?;
    let url = match (given, usual) {
        (Some(found), _) => value(found, "api_base", notes)?,
        (None, Some(usual)) => (*usual).to_owned(),
        (None, None) => {
            notes.add(line, format!("'{name}' is left out: it has no 'api_base'"));
            return None;
        }
    };
    let mut instance = Tree::default();
    instance.text("adapter", adapter);
    let base_url = place(&url, adapter, path, &mut instance);
    instance.text("base-url", &base_url);
    if let Some(key) = params.take("api_key").and_then(|found| value(found, "api_key", notes)) {
        instance.text("api-key", &key);
    }
    rates(&mut top, &mut params, &mut instance, notes);
    settings(&mut params, &mut instance, notes);
    if let Some(id) = info.take("id").and_then(|found| id(found, "model_info.id", notes)) {
        instance.text("instance-id", &id);
    }
    for section in [params, info, top] {
        section.finish(notes);
    }
    let own = own.to_owned();
    Some(Deployment { service, names: vec![name], own, base_url, instance })
}

/// The model's own name and its provider.
fn provider<'m>(
    model: &'m str,
    params: &mut Section<'_>,
    base: Option<Found<'_>>,
    line: usize,
    notes: &mut Notes,
) -> Option<(&'m str, &'static Provider)> {
    let known = |name: &str| PROVIDERS.iter().find(|provider| provider.0 == name);
    if let Some(named) = params.take("custom_llm_provider").and_then(Found::text) {
        let own = model.strip_prefix(named).and_then(|rest| rest.strip_prefix('/'));
        return Some((own.unwrap_or(model), known(named)?));
    }
    if let Some((prefix, own)) = model.split_once('/')
        && let Some(provider) = known(prefix)
    {
        return Some((own, provider));
    }
    if let Some((_, name)) = BARE.iter().find(|(prefix, _)| model.starts_with(prefix)) {
        return Some((model, known(name)?));
    }
    let is_elsewhere =
        ["azure", "bedrock", "vertex_ai", "sagemaker", "cohere", "replicate", "watsonx"];
    let prefix = model.split('/').next().unwrap_or_default();
    if base.is_none() || model.is_empty() || is_elsewhere.iter().any(|one| prefix.starts_with(one))
    {
        return None;
    }
    notes.add(
        line,
        format!(
            "'{model}' names no provider that is known here, and is taken to speak OpenAI's API"
        ),
    );
    Some((model, known("openai")?))
}

fn mode(
    name: &str,
    own: &str,
    info: &mut Section<'_>,
    line: usize,
    notes: &mut Notes,
) -> Option<(&'static str, &'static str)> {
    if let Some(found) = info.take("mode") {
        let mode = found.text().unwrap_or_default();
        let known = MODES.iter().find(|known| known.0 == mode);
        if known.is_none() {
            notes.add(found.line, format!("'{name}' is left out: the mode '{mode}' is not here"));
        }
        return known.map(|(_, service, path)| (*service, *path));
    }
    let text = format!("{name} {own}").to_lowercase();
    let guess = |service, notes: &mut Notes| {
        notes.add(
            line,
            format!(
                "'{name}' is taken to be for the service '{service}' by its name: it has no mode"
            ),
        );
    };
    if text.contains("rerank") {
        guess("rerank", notes);
        return Some(("rerank", "/rerank"));
    }
    if text.contains("embed") {
        guess("embedding", notes);
        return Some(("embedding", "/embeddings"));
    }
    Some(("chat", "/chat/completions"))
}

/// The base URL as ours is, in front of `/v1`.
fn place(url: &str, adapter: &str, path: &str, instance: &mut Tree) -> String {
    let bare = url.trim_end_matches('/');
    let is_openai = !matches!(adapter, "ollama" | "anthropic" | "gemini" | "tgi");
    match bare.strip_suffix("/v1") {
        Some(base) => base.to_owned(),
        // LiteLLM asks right below what it is given, if it speaks OpenAI's API.
        None if is_openai => {
            instance.text("path", path);
            bare.to_owned()
        }
        None => bare.to_owned(),
    }
}

/// Requests and tokens a minute, and requests at a time.
fn rates(top: &mut Section<'_>, params: &mut Section<'_>, instance: &mut Tree, notes: &mut Notes) {
    let mut of = |key: &str, notes: &mut Notes| {
        let found = params.take(key).or_else(|| top.take(key))?;
        found.whole(key, 1, 1_000_000_000, notes)
    };
    let (requests, tokens) = (of("rpm", notes), of("tpm", notes));
    if requests.is_some() || tokens.is_some() {
        let limit = instance.under("rate-limit");
        limit.word("enabled", true);
        limit.text("scope", "instance");
        // Without a limit of requests, as many as a limit can say.
        limit.word("capacity", requests.unwrap_or(1_000_000_000));
        let rate = requests.map_or(1_000_000_000.0, |most| most as f64 / 60.0);
        limit.word("rate", plain(rate));
        if let Some(tokens) = tokens {
            limit.word("tokens-per-minute", tokens);
        }
    }
    if let Some(most) = of("max_parallel_requests", notes) {
        instance.under("concurrency").word("limit", most);
    }
}

fn settings(params: &mut Section<'_>, instance: &mut Tree, notes: &mut Notes) {
    for (theirs, ours) in [("timeout", "total"), ("stream_timeout", "first-token")] {
        if let Some(seconds) =
            params.take(theirs).and_then(|found| found.number(theirs, 0.001, notes))
        {
            instance
                .under("timeouts")
                .word(ours, format!("{}ms", plain((seconds * 1000.0).round())));
        }
    }
    if let Some(weight) =
        params.take("weight").and_then(|found| found.whole("weight", 1, 65_535, notes))
    {
        instance.word("weight", weight);
    }
    for key in ["extra_headers", "headers"] {
        let Some(found) = params.take(key) else { continue };
        for (name, found) in Section::new(key, found.node, notes).rest() {
            if let Some(text) = value(found, key, notes) {
                instance.under("headers").text(name, &text);
            }
        }
    }
    if let Some(text) =
        params.take("organization").and_then(|found| value(found, "organization", notes))
    {
        instance.under("headers").text("OpenAI-Organization", &text);
    }
    let callers = "what callers do not send themselves is not added here";
    params.without(&["temperature", "max_tokens", "top_p", "seed", "drop_params"], callers, notes);
    params.without(&["order"], "instances have no order here: they share by their weights", notes);
}

/// A text, with the environment as ours has it.
fn value(found: Found<'_>, what: &str, notes: &mut Notes) -> Option<String> {
    let text = found.text()?;
    if let Some(name) = text.strip_prefix("os.environ/") {
        let is_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name && !name.starts_with(|first: char| first.is_ascii_digit()) {
            return Some(format!("${{{name}}}"));
        }
        notes.add(found.line, format!("'{what}' names no environment variable, and is left out"));
        return None;
    }
    if text.contains("${") {
        notes.add(
            found.line,
            format!("'{what}' holds '${{', which would be the environment here, and is left out"),
        );
        return None;
    }
    Some(text.to_owned())
}
