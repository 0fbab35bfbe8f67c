//! The keys outside of `model`.

use super::kind::Kind::{
    Duration, Flag, Foreign, Limit, List, Named, Object as Map, OneOf, Ratio, Size, Some, Text,
    Whole,
};
use super::kind::{Key, Object};
use super::model::{MODEL, SERVICE_TYPES, TLS};

const BILLION: u64 = 1_000_000_000;

pub(super) static ROOT: Object = Object {
    name: "configuration",
    required: &["model"],
    keys: &[&[
        Key("server", Map(&SERVER), "", "The listener of callers."),
        Key("security", Map(&SECURITY), "", "Who may ask."),
        Key(
            "management",
            Map(&MANAGEMENT),
            "",
            "The listener of operators: metrics. It is there if 'server' is.",
        ),
        Key("tracing", Map(&TRACING), "", "Which requests are traced, and who is told."),
        Key("model", Map(&MODEL), "", "What is served."),
        Key("spring", Foreign, "", "Spring's own; means nothing here."),
        Key("logging", Foreign, "", "Spring's own; see server.log."),
        Key("springdoc", Foreign, "", "Spring's own; means nothing here."),
    ]],
};

static LISTENER: [Key; 2] = [
    Key("address", Text, "127.0.0.1", "The IP address to listen on; 0.0.0.0 is every IPv4 one."),
    Key("port", Whole(0, 65_535), "", "8080 for callers, 8081 for operators; 0 is any free one."),
];

static SERVER: Object = Object {
    name: "server",
    required: &[],
    keys: &[
        &LISTENER,
        &[
            Key("tls", Map(&IDENTITY), "", "TLS to callers."),
            Key("http2", Flag, "true", "Whether HTTP/2 is offered to callers over TLS."),
            Key("max-request-body", Size, "32MiB", "A longer body is 413."),
            Key("max-body-memory", Size, "1GiB", "For the bodies of all requests together."),
            Key(
                "header-timeout",
                Duration,
                "10s",
                "From the connection to the first complete head.",
            ),
            Key(
                "body-timeout",
                Duration,
                "10s",
                "The longest silence in the middle of a request body.",
            ),
            Key("write-timeout", Duration, "60s", "For a caller that does not read."),
            Key(
                "stream-keep-alive",
                Duration,
                "",
                "How long a stream of events is silent before a comment is sent. Default never.",
            ),
            Key(
                "shutdown-delay",
                Duration,
                "0s",
                "For those who send requests here to hear of the end, which are served meanwhile.",
            ),
            Key(
                "drain-timeout",
                Duration,
                "30s",
                "For answers to finish at the end of the program.",
            ),
            Key(
                "trusted-proxies",
                List(&Text),
                "",
                "Addresses and networks whose X-Forwarded-For is believed.",
            ),
            Key(
                "allowed-hosts",
                List(&Text),
                "",
                "Names by which a gateway without keys on loopback may be asked.",
            ),
            Key(
                "max-connections",
                Whole(1, u64::MAX),
                "",
                "Callers connected at a time. Default unlimited.",
            ),
            Key(
                "max-connections-per-client",
                Whole(1, u64::MAX),
                "",
                "Those of one address, or IPv6 /64, at a time. Default unlimited.",
            ),
            Key("workers", Whole(1, 1024), "", "Threads. Default one for each core."),
            Key("log", Map(&LOG), "", "How the program logs."),
        ],
    ],
};

static LOG: Object = Object {
    name: "log",
    required: &[],
    keys: &[&[
        Key(
            "level",
            OneOf(&["error", "warn", "info", "debug", "trace"]),
            "info",
            "RUST_LOG goes before it.",
        ),
        Key(
            "format",
            OneOf(&["auto", "human", "json"]),
            "auto",
            "auto is human on a terminal, json otherwise.",
        ),
    ]],
};

static IDENTITY: Object = Object {
    name: "identity",
    required: &["certificate", "key"],
    keys: &[&[
        Key(
            "certificate",
            Text,
            "",
            "A PEM file of the certificate, with those it was signed with.",
        ),
        Key("key", Text, "", "A PEM file of its key."),
        Key(
            "client-ca",
            Text,
            "",
            "A PEM file of who signs callers' certificates; others are not spoken to.",
        ),
    ]],
};

static TRACING: Object = Object {
    name: "tracing",
    required: &[],
    keys: &[&[
        Key("sampling-ratio", Ratio, "1", "Of the traces that begin here."),
        Key("otlp", Map(&OTLP), "", "The collector that spans are sent to."),
    ]],
};

static OTLP: Object = Object {
    name: "otlp",
    required: &[],
    keys: &[&[
        Key("endpoint", Text, "", "Its URL; or the environment's OTEL_EXPORTER_OTLP_ENDPOINT."),
        Key("headers", Named(&Text), "", "What is sent with them, as its key."),
        Key("timeout", Duration, "10s", "For it to take a batch."),
        Key("service-name", Text, "jairouter", "What this program is called there."),
        Key("tls", Map(&TLS), "", "Whom to trust, of one that begins with https://."),
    ]],
};

static MANAGEMENT: Object = Object {
    name: "management",
    required: &[],
    keys: &[&[
        Key("server", Map(&OPERATORS), "", "The listener of operators."),
        Key("endpoints", Foreign, "", "Spring's actuator is not here."),
        Key("endpoint", Foreign, "", "Spring's actuator is not here."),
        Key("metrics", Foreign, "", "Spring's actuator is not here."),
        Key("health", Foreign, "", "Spring's actuator is not here."),
        Key("tracing", Foreign, "", "Spring's actuator is not here."),
    ]],
};

static OPERATORS: Object = Object {
    name: "operators",
    required: &[],
    keys: &[
        &LISTENER,
        &[Key("token", Text, "", "What whoever asks the API has to show, of 16 bytes or more.")],
    ],
};

static SECURITY: Object = Object {
    name: "security",
    required: &[],
    keys: &[&[
        Key("api-keys", List(&Map(&API_KEY)), "", "Who may ask. With an empty list nobody may."),
        Key("jwt", Map(&JWT), "", "Whose tokens let their holders in."),
        Key(
            "failures-per-minute",
            Limit(BILLION),
            "60",
            "Requests without a good key that an address may send.",
        ),
    ]],
};

static RIGHTS: [Key; 6] = [
    Key("models", List(&Text), "", "Models that may be asked for; a * is anything. Default all."),
    Key("services", List(&OneOf(&SERVICE_TYPES)), "", "Services that may be asked. Default all."),
    Key("requests-per-minute", Limit(BILLION), "unlimited", "At once and every minute; then 429."),
    Key("tokens-per-minute", Limit(BILLION), "unlimited", "Tokens of prompts and answers."),
    Key("concurrency", Limit(u32::MAX as u64), "unlimited", "Requests at a time; one more is 429."),
    Key(
        "priority",
        Whole(0, 255),
        "0",
        "Whose requests are served first when they wait, the highest first.",
    ),
];

static API_KEY: Object = Object {
    name: "api-key",
    required: &["name", "digest"],
    keys: &[
        &[
            Key("name", Text, "", "What the holder is called in the log."),
            Key(
                "digest",
                Text,
                "",
                "sha256: and 64 digits; 'jairouter keys new NAME' prints it with a key.",
            ),
            Key("expires", Text, "", "From this day (in UTC) or instant on it lets nobody in."),
        ],
        &RIGHTS,
    ],
};

static JWT: Object = Object {
    name: "jwt",
    required: &["algorithms"],
    keys: &[
        &[
            Key(
                "algorithms",
                List(&OneOf(&[
                    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384",
                    "PS512", "ES256", "ES384", "EdDSA",
                ])),
                "",
                "Those that tokens may be signed by: HS… with a secret, the others with a JWKS.",
            ),
            Key("secret", Text, "", "What the issuer shares, at least as long as the hash."),
            Key("jwks-file", Text, "", "A JWKS, read again when it changes."),
            Key(
                "jwks-url",
                Text,
                "",
                "Where a JWKS is fetched, over https, or http from this machine.",
            ),
            Key("refresh", Duration, "10m", "How often jwks-url is fetched."),
            Key("tls", Map(&TLS), "", "Whom to trust at jwks-url."),
            Key(
                "issuer",
                Some(&Text),
                "",
                "The iss of tokens, or a list of them. Required with a JWKS.",
            ),
            Key(
                "audience",
                Some(&Text),
                "",
                "The aud of tokens, or a list of them. Required with a JWKS.",
            ),
            Key("leeway", Duration, "30s", "For clocks that differ, ten minutes at most."),
            Key("holder-claim", Text, "sub", "The claim that names the holder."),
            Key("rights-claim", Text, "jairouter", "The claim that says what its holder may ask."),
        ],
        &RIGHTS,
    ],
};
