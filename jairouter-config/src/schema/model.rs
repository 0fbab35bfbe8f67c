//! The keys of `model`, of services and of instances.

use jairouter_core::Endpoint;

use super::kind::Kind::{
    Duration, Flag, FlagOr, Limit, List, Models, Named, Names, Number, Object as Map, OneOf, Size,
    Such, Text, Whole,
};
use super::kind::{Key, Object};

pub(super) const SERVICE_TYPES: [&str; 8] =
    ["chat", "embedding", "rerank", "tts", "stt", "imgGen", "imgEdit", "moderation"];

const CONCURRENT: u64 = u32::MAX as u64;

pub(super) static MODEL: Object = Object {
    name: "model",
    required: &["services"],
    keys: &[
        &[
            Key("services", Names(services, &Map(&SERVICE)), "", "The services, by their types."),
            Key(
                "adapter-definitions",
                Named(&Map(&DEFINITION)),
                "",
                "Frameworks by configuration.",
            ),
        ],
        &WIDE,
        &EVERYWHERE,
    ],
};

static SERVICE: Object = Object {
    name: "service",
    required: &["instances"],
    keys: &[
        &[Key(
            "instances",
            List(&Map(&INSTANCE)),
            "",
            "Who answers; instances of one name are replicas.",
        )],
        &WIDE,
        &EVERYWHERE,
    ],
};

static INSTANCE: Object = Object {
    name: "instance",
    required: &["base-url"],
    keys: &[
        &[
            Key(
                "name",
                Text,
                "",
                "The model callers ask for. Without it and 'models' the instance is asked.",
            ),
            Key("models", Models, "", "Several models: a list, or what the engine calls each."),
            Key(
                "base-url",
                Text,
                "",
                "http://host:port or https://host, with or without a path; or simulated://NAME.",
            ),
            Key("path", Text, "", "Another path for the endpoint it belongs to."),
            Key("model", Text, "", "The engine's own name for the model, if it is another one."),
            Key("weight", Whole(1, 65_535), "1", "Its share of requests."),
            Key(
                "status",
                OneOf(&["active", "inactive"]),
                "active",
                "inactive takes it out of rotation.",
            ),
            Key(
                "instance-id",
                Text,
                "",
                "What it is called in logs. Default made of name and place.",
            ),
            Key("options", Named(&Text), "", "What its adapter alone has."),
            Key("api-key", Text, "", "The engine's key, in the header its framework wants."),
            Key("headers", Named(&Text), "", "Sent with every request to it."),
            Key(
                "forward-authorization",
                Flag,
                "false",
                "Whether the caller's own Authorization is sent on.",
            ),
            Key("retry", Map(&RETRY), "", "Acts as its service says, not here."),
        ],
        &EVERYWHERE,
    ],
};

static EVERYWHERE: [Key; 10] = [
    Key("adapter", Such(adapters), "normal", "How the engine is spoken to."),
    Key("timeouts", Map(&TIMEOUTS), "", "The clocks of a request to an instance."),
    Key(
        "concurrency",
        Map(&CONCURRENCY),
        "",
        "Requests at a time, and the line of those who wait.",
    ),
    Key(
        "rate-limit",
        Map(&RATE_LIMIT),
        "",
        "Requests and tokens in a time. Those of all levels act.",
    ),
    Key("circuit-breaker", Map(&BREAKER), "", "When an instance that fails is left alone."),
    Key("health-check", Map(&HEALTH), "", "How instances are probed."),
    Key("tls", Map(&TLS), "", "TLS to instances whose base-url begins with https://."),
    Key(
        "http2",
        FlagOr(&["auto"]),
        "false",
        "HTTP/2 to instances over TLS; auto is as they choose.",
    ),
    Key(
        "allow-link-local",
        Flag,
        "false",
        "Whether instances at addresses of one link alone are asked, as 169.254.0.0/16.",
    ),
    Key("discovery", Map(&DISCOVERY), "", "How instances are asked which models they have."),
];

static WIDE: [Key; 6] = [
    Key("load-balance", Map(&BALANCE), "", "How an instance is chosen."),
    Key("retry", Map(&RETRY), "", "How often, and for what, another instance is asked."),
    Key("fallback", Map(&FALLBACK), "", "What answers when no instance can."),
    Key(
        "response-headers",
        Flag,
        "true",
        "Whether answers carry x-jairouter-instance, -model and -attempts.",
    ),
    Key(
        "response-model",
        OneOf(&["instance", "asked"]),
        "instance",
        "What an answer calls the model.",
    ),
    Key(
        "error-attempts",
        Flag,
        "false",
        "Whether a final error lists the instances that were asked in vain.",
    ),
];

static BALANCE: Object = Object {
    name: "load-balance",
    required: &[],
    keys: &[&[
        Key(
            "type",
            OneOf(&[
                "random",
                "round-robin",
                "least-connections",
                "ip-hash",
                "consistent-hash",
                "power-of-two-choices",
            ]),
            "random",
            "The strategy; each goes by the weights.",
        ),
        Key("hash-algorithm", OneOf(&["md5", "sha1", "sha256"]), "md5", "For the two that hash."),
        Key("virtual-nodes", Whole(1, 100_000), "150", "Points on the ring of consistent-hash."),
        Key(
            "slow-start",
            Duration,
            "10s",
            "How long one that has come back is given a growing share only.",
        ),
    ]],
};

static TIMEOUTS: Object = Object {
    name: "timeouts",
    required: &[],
    keys: &[&[
        Key("connect", Duration, "2s", "To resolve and connect."),
        Key(
            "first-token",
            Duration,
            "300s",
            "From the request to the first content; then another is asked.",
        ),
        Key("idle", Duration, "120s", "The longest silence in the middle of an answer."),
        Key(
            "total",
            Duration,
            "3600s",
            "From the request to the end of the answer, all attempts together.",
        ),
    ]],
};

static RETRY: Object = Object {
    name: "retry",
    required: &[],
    keys: &[&[
        Key("max-attempts", Whole(1, 8), "3", "Instances that may see a request."),
        Key(
            "budget-percent",
            Whole(0, 100),
            "20",
            "Retries between instances that all fail, in percent of requests.",
        ),
        Key(
            "on",
            List(&OneOf(&["unreachable", "broken", "timeout", "failed", "busy"])),
            "",
            "Which failures another instance is asked for. Default all.",
        ),
    ]],
};

static CONCURRENCY: Object = Object {
    name: "concurrency",
    required: &[],
    keys: &[&[
        Key("limit", Limit(CONCURRENT), "unlimited", "Requests an instance is sent at a time."),
        Key(
            "model-limit",
            Limit(CONCURRENT),
            "unlimited",
            "Requests for a model at a time. Not of an instance.",
        ),
        Key(
            "client-limit",
            Limit(CONCURRENT),
            "unlimited",
            "Requests of a client at a time. Not of an instance.",
        ),
        Key("queue", Whole(0, 1_000_000), "0", "Requests of a model that may wait."),
        Key("queue-timeout", Duration, "10s", "The longest wait."),
    ]],
};

static RATE_LIMIT: Object = Object {
    name: "rate-limit",
    required: &[],
    keys: &[&[
        Key("enabled", Flag, "false", "Whether it acts."),
        Key(
            "algorithm",
            OneOf(&["token-bucket", "leaky-bucket", "sliding-window", "warm-up"]),
            "token-bucket",
            "How requests are counted.",
        ),
        Key("capacity", Whole(1, 1_000_000_000), "100", "Requests in a burst."),
        Key("rate", Number, "10", "Requests a second, fractions included."),
        Key(
            "scope",
            OneOf(&["service", "model", "client-ip", "instance"]),
            "service",
            "What has a limit of its own.",
        ),
        Key("client-ip-enable", Flag, "false", "The same numbers again for each client."),
        // A bare number is in seconds here.
        Key("warm-up-period", Duration, "600", "Seconds, or a duration, of warm-up."),
        Key(
            "tokens-per-minute",
            Limit(1_000_000_000),
            "unlimited",
            "Tokens of prompts and answers.",
        ),
        Key("key", Text, "", "Means nothing here: see 'scope'."),
    ]],
};

static BREAKER: Object = Object {
    name: "circuit-breaker",
    required: &[],
    keys: &[&[
        Key("enabled", Flag, "false", "Whether it acts."),
        Key("failure-threshold", Whole(1, 1000), "5", "Failures in a row that open it."),
        Key(
            "success-threshold",
            Whole(1, 1000),
            "2",
            "Requests that try at a time, and have to succeed to close it.",
        ),
        Key("timeout", Duration, "60s", "How long it stays open before a few requests may try."),
        Key(
            "max-timeout",
            Duration,
            "",
            "The longest that grows to. Default ten times the timeout.",
        ),
        Key(
            "failure-rate-percent",
            Whole(1, 100),
            "",
            "Opens it at this share of failures, too. Default off.",
        ),
        Key(
            "minimum-requests",
            Whole(1, 8000),
            "10",
            "The fewest requests in the window that say anything.",
        ),
        Key("window-size", Duration, "30s", "The window."),
    ]],
};

static HEALTH: Object = Object {
    name: "health-check",
    required: &[],
    keys: &[&[
        Key("enabled", Flag, "true", "Whether instances are probed."),
        Key("path", Text, "", "Asked with GET; never inference. Default the adapter's."),
        Key("interval", Duration, "5s", "How often."),
        Key("timeout", Duration, "2s", "For an answer; less than the interval."),
    ]],
};

pub(super) static TLS: Object = Object {
    name: "tls",
    required: &[],
    keys: &[&[
        Key(
            "ca",
            Text,
            "",
            "A PEM file of certificates that are trusted beside those of this system.",
        ),
        Key("client-certificate", Text, "", "A PEM file of the certificate that tells who asks."),
        Key("client-key", Text, "", "Its key, in PEM."),
    ]],
};

static DISCOVERY: Object = Object {
    name: "discovery",
    required: &[],
    keys: &[&[
        Key(
            "interval",
            Duration,
            "60s",
            "How often an instance without a name and models is asked for them.",
        ),
        Key("timeout", Duration, "5s", "For its answer."),
    ]],
};

static FALLBACK: Object = Object {
    name: "fallback",
    required: &[],
    keys: &[&[
        Key("enabled", Flag, "false", "Whether it acts."),
        Key(
            "strategy",
            OneOf(&["default", "cache", "model"]),
            "default",
            "What comes after the model itself.",
        ),
        Key("models", List(&Text), "", "Models of the service to ask instead, in this order."),
        Key("per-model", Named(&List(&Text)), "", "The same for some models."),
        Key("on-context-length", Flag, "false", "Also when the prompt is too long for the model."),
        Key("on-missing-model", Flag, "false", "Also when nobody has the model."),
        Key(
            "cache-size",
            Whole(1, 1_000_000),
            "100",
            "Answers that are kept, with the strategy cache.",
        ),
        Key("cache-bytes", Size, "64MiB", "All of them together."),
        Key("cache-ttl", Duration, "300s", "How old an answer may be."),
        Key("cache-any", Flag, "false", "Whether answers are kept that may be another next time."),
        Key("response", Map(&RESPONSE), "", "An answer that is there already."),
    ]],
};

static RESPONSE: Object = Object {
    name: "response",
    required: &[],
    keys: &[&[
        Key("status", Whole(200, 599), "200", "Of a body also 400 to 599."),
        Key("text", Text, "", "In a model's words, streamed if a stream was asked for."),
        Key("body", Text, "", "Or as it is."),
        Key("content-type", Text, "application/json", "Of the body."),
    ]],
};

static DEFINITION: Object = Object {
    name: "adapter-definition",
    required: &[],
    keys: &[&[
        Key(
            "type",
            OneOf(&["openai-compatible", "ollama-compatible", "extend"]),
            "openai-compatible",
            "Whose words it speaks.",
        ),
        Key("parent", Text, "", "For 'extend': an adapter of the program or of the file."),
        Key(
            "capabilities",
            List(&OneOf(&SERVICE_TYPES)),
            "",
            "The services it offers. Default the parent's.",
        ),
        Key("auth", Map(&AUTH), "", "Where an instance's api-key goes."),
        Key("additional-headers", Named(&Text), "", "Sent with every request and probe."),
        Key(
            "paths",
            Names(endpoints, &Text),
            "",
            "Where it answers, by the endpoint's path without /v1/.",
        ),
        Key("models", Named(&Text), "", "Its own names of models, by the names callers use."),
        Key(
            "options",
            Named(&Text),
            "",
            "The parent's options, if it is an adapter of the program.",
        ),
    ]],
};

static AUTH: Object = Object {
    name: "auth",
    required: &[],
    keys: &[&[
        Key("header-name", Text, "Authorization", "The header."),
        Key("header-prefix", Text, "", "What stands before the key; Bearer in Authorization."),
    ]],
};

fn adapters() -> Vec<&'static str> {
    jairouter_adapters::NAMES.to_vec()
}

/// The types of services, and what else they are called.
fn services() -> Vec<String> {
    let others = [
        "chat-completion",
        "chat-completions",
        "embeddings",
        "re-rank",
        "text-to-speech",
        "speech-to-text",
        "image-generation",
        "image-generate",
        "image-edit",
        "image-editing",
        "img-gen",
        "img-edit",
        "imggen",
        "imgedit",
        "moderations",
    ];
    SERVICE_TYPES.iter().chain(&others).map(|name| (*name).to_owned()).collect()
}

fn endpoints() -> Vec<String> {
    let short = Endpoint::ALL.iter().filter_map(|one| one.path().strip_prefix("/v1/"));
    let all = short.map(str::to_owned).chain(Endpoint::ALL.iter().map(|one| one.path().to_owned()));
    all.chain(["health", "models"].map(str::to_owned)).collect()
}
