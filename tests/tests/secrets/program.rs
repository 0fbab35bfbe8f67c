//! A program with a secret wherever there can be one, and what it is asked.

use std::net::SocketAddr;

use jairouter_tests::gateway::UNPROBED;

use super::corpus::SECRET;

/// Of the key `jr-secret5b1c-key`.
const DIGEST: &str = "sha256:5d73bb282b2781b420cbc17869c9483d83e54f32433cbea21b6bb4edb6f7da27";

/// Where everything is.
pub(crate) struct Places {
    pub(crate) engine: String,
    pub(crate) closed: SocketAddr,
    pub(crate) collector: String,
}

pub(crate) fn configuration(places: &Places) -> String {
    let Places { engine, closed, collector } = places;
    format!(
        "server: {{ port: 0, log: {{ level: trace, format: json }} }}
management: {{ server: {{ port: 0, token: '{SECRET}-operators' }} }}
tracing: {{ otlp: {{ endpoint: '{collector}', headers: {{ X-Key: '{SECRET}-otlp' }} }} }}
security: {{ api-keys: [{{ name: holder, digest: '{DIGEST}' }}] }}
model:
{UNPROBED}  timeouts: {{ first-token: 300ms, idle: 300ms }}
  load-balance: {{ type: round-robin }}
  services:
    chat:
      instances:
        - {{ name: m, base-url: '{engine}', instance-id: a,
            headers: {{ Authorization: 'Bearer {SECRET}-header', X-Own: '{SECRET}-own' }} }}
        - {{ name: m, base-url: '{engine}/b', instance-id: b, api-key: '{SECRET}-api-key' }}
        - {{ name: gone, base-url: 'http://{closed}', api-key: '{SECRET}-api-key' }}
        - {{ name: limited, base-url: '{engine}', instance-id: l,
            rate-limit: {{ enabled: true, capacity: 1, rate: 0.001 }} }}
"
    )
}

/// The same with a mistake beside a secret, each in another place.
pub(crate) fn wrong(good: &str) -> Vec<String> {
    let change = |what: &str, by: &str| {
        assert!(good.contains(what), "{what}");
        good.replacen(what, by, 1)
    };
    vec![
        change(&format!("'Bearer {SECRET}-header'"), &format!("\"{SECRET}\\r\\nheader\"")),
        change(&format!("'{SECRET}-api-key'"), &format!("\"{SECRET}\\n-api-key\"")),
        change(&format!("'{SECRET}-otlp'"), &format!("\"{SECRET}\\notlp\"")),
        change(DIGEST, &format!("jr-{SECRET}-key")),
        change(DIGEST, &format!("sha256:{SECRET}")),
        change("http://127", &format!("http://user:{SECRET}@127")),
        change("base-url: 'http://", &format!("base-url: 'http://user:{SECRET}@")),
        change("X-Own:", "'X Own':"),
        change("api-key:", "api-keys:"),
        change("headers:", "header:"),
    ]
}

/// A chat of the key's holder, with more that a caller may send along.
pub(crate) fn request(body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\ncontent-type: application/json\r\n\
         authorization: Bearer jr-{SECRET}-key\r\ncookie: a={SECRET}\r\nx-forwarded-for: {SECRET}\r\n\
         tracestate: a={SECRET}\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\
         baggage: a={SECRET}\r\nuser-agent: {SECRET}\r\nx-api-version: {SECRET}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
