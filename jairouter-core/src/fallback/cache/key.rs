//! Whose answer it is, and whether asking again would give it.

use std::net::IpAddr;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::endpoint::Endpoint;
use crate::request::{InferenceRequest, Principal};

/// The longest payload that is hashed, in bytes: some milliseconds where the processor has no
/// instructions for it.
const LONGEST_PAYLOAD: usize = 1 << 20;

/// Who asks.
const IDENTITY: [HeaderName; 2] = [AUTHORIZATION, HeaderName::from_static("x-api-key")];

/// What is followed by a credential, and is none.
const SCHEMES: [&str; 5] = ["bearer", "basic", "digest", "token", "negotiate"];

/// What else an engine may answer by: the form of the answer, and where a form's parts begin.
const FORM: [HeaderName; 2] = [ACCEPT, CONTENT_TYPE];

/// A caller and its question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u8; 32]);

impl Key {
    /// `None` for a caller that nothing tells from others, or a payload too long to hash.
    ///
    /// Every part is preceded by its length or its count, so that no two different questions are
    /// the same bytes to the hash.
    pub(super) fn of(request: &InferenceRequest) -> Option<Self> {
        let headers = &request.headers;
        let principal = request.extensions.get::<Principal>();
        let is_known = principal.is_some()
            || IDENTITY.iter().any(|name| headers.get_all(name).iter().any(is_credential));
        let address = if is_known { None } else { Some(request.client?) };
        if !is_short(request) {
            return None;
        }
        let mut hasher = Hasher(Sha256::new());
        hasher.part(request.endpoint.path().as_bytes());
        hasher.count(principal.iter().count());
        hasher.part(principal.map_or(&[], |principal| principal.name().as_bytes()));
        hasher.part(&principal.map_or(0, Principal::id).to_le_bytes());
        for name in IDENTITY.iter().chain(&FORM) {
            let values = headers.get_all(name);
            hasher.count(values.iter().count());
            for value in values {
                hasher.part(value.as_bytes());
            }
        }
        match address {
            None => hasher.part(&[]),
            Some(IpAddr::V4(address)) => hasher.part(&address.octets()),
            Some(IpAddr::V6(address)) => hasher.part(&address.octets()),
        }
        // Of a form that is for another model the payload does not tell.
        hasher.part(request.model.as_bytes());
        hasher.part(&request.payload);
        Some(Self(hasher.0.finalize().into()))
    }
}

/// Whether this tells one caller from another: a scheme alone, as in `Bearer ${TOKEN}` without a
/// token, does not.
fn is_credential(value: &HeaderValue) -> bool {
    let value = value.as_bytes().trim_ascii();
    !value.is_empty() && !SCHEMES.iter().any(|scheme| value.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Whether the request is short enough to be read and hashed.
pub(super) fn is_short(request: &InferenceRequest) -> bool {
    request.payload.len() <= LONGEST_PAYLOAD
}

struct Hasher(Sha256);

impl Hasher {
    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn part(&mut self, part: &[u8]) {
        self.count(part.len());
        self.0.update(part);
    }
}

#[derive(Deserialize)]
struct Sampling<'a> {
    temperature: Option<f64>,
    #[serde(borrow)]
    seed: Option<&'a RawValue>,
}

/// Whether asking again would give the same answer, as far as an engine can promise that.
pub(super) fn is_repeatable(request: &InferenceRequest) -> bool {
    match request.endpoint {
        // They read what they are given and invent nothing.
        Endpoint::Embeddings
        | Endpoint::Rerank
        | Endpoint::Transcriptions
        | Endpoint::Translations
        | Endpoint::Speech
        | Endpoint::CountTokens
        | Endpoint::Tokenize
        | Endpoint::Detokenize
        | Endpoint::Moderations => true,
        // A response is kept by the engine, and is one of its own each time.
        Endpoint::Responses | Endpoint::ImageEdits | Endpoint::ImageVariations => false,
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Messages
        | Endpoint::ImageGenerations => {
            // What cannot be read, such as a field given twice, promises nothing.
            let sampling = serde_json::from_slice::<Sampling<'_>>(&request.payload);
            sampling.is_ok_and(|Sampling { temperature, seed }| {
                temperature == Some(0.0) || seed.is_some_and(|seed| seed.get() != "null")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use http::HeaderMap;

    use super::*;

    fn request(
        endpoint: Endpoint,
        headers: &[(&'static str, &'static str)],
        client: Option<&str>,
        payload: &'static str,
    ) -> InferenceRequest {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        let request = InferenceRequest::new(endpoint, map, payload.into()).unwrap();
        request.with_client(client.map(|client| client.parse().unwrap()))
    }

    #[test]
    fn whatever_differs_is_another_key() {
        let chat = Endpoint::ChatCompletions;
        let (ask, other) = (r#"{"model":"m"}"#, r#"{"model":"m" }"#);
        let auth = ("authorization", "Bearer a");
        let requests = [
            request(chat, &[auth], None, ask),
            request(chat, &[auth], None, other),
            request(Endpoint::Completions, &[auth], None, ask),
            request(chat, &[("authorization", "Bearer b")], None, ask),
            request(chat, &[("x-api-key", "Bearer a")], None, ask),
            request(chat, &[auth, ("x-api-key", "b")], None, ask),
            request(chat, &[auth, auth], None, ask),
            request(chat, &[auth, ("accept", "audio/wav")], None, ask),
            request(chat, &[auth, ("content-type", "audio/wav")], None, ask),
            request(chat, &[], Some("10.0.0.1"), ask),
            request(chat, &[], Some("10.0.0.2"), ask),
            request(chat, &[], Some("::a00:1"), ask),
            request(chat, &[], None, ask).with_extension(Principal::new("a")),
            request(chat, &[], Some("10.0.0.1"), ask).with_extension(Principal::new("b")),
            request(chat, &[], None, ask).with_extension(Principal::new("a").with_id(1)),
        ];
        let keys: HashSet<_> = requests.iter().map(|request| Key::of(request).unwrap()).collect();
        assert_eq!(keys.len(), requests.len());
    }

    #[test]
    fn a_caller_with_a_key_is_the_same_one_wherever_it_asks_from() {
        let ask = |client| {
            let headers = [("authorization", "Bearer a"), ("x-request-id", client)];
            Key::of(&request(Endpoint::Rerank, &headers, Some(client), r#"{"model":"m"}"#))
        };
        assert_eq!(ask("10.0.0.1"), ask("10.0.0.2"));
    }

    #[test]
    fn a_key_that_is_none_is_nobody_s() {
        for (name, value) in [
            ("authorization", ""),
            ("authorization", "Bearer"),
            ("authorization", "bearer \t"),
            ("authorization", "Basic "),
            ("x-api-key", ""),
            ("x-api-key", " "),
        ] {
            let ask = |client| {
                Key::of(&request(Endpoint::Rerank, &[(name, value)], client, r#"{"model":"m"}"#))
            };
            assert_ne!(ask(Some("10.0.0.1")), ask(Some("10.0.0.2")), "{name}: {value}");
            assert_eq!(ask(None), None, "{name}: {value}");
        }
    }

    #[test]
    fn a_caller_nothing_tells_from_others_has_no_key_nor_has_a_payload_too_long_to_hash() {
        let ask = request(Endpoint::Rerank, &[], None, r#"{"model":"m"}"#);
        assert_eq!(Key::of(&ask), None);
        let long = format!(r#"{{"model":"m","input":"{}"}}"#, "x".repeat(LONGEST_PAYLOAD));
        let long = InferenceRequest::new(Endpoint::Embeddings, HeaderMap::new(), long.into());
        let long = long.unwrap().with_client(Some([10, 0, 0, 1].into()));
        assert_eq!(Key::of(&long), None);
    }

    #[test]
    fn an_answer_is_repeatable_if_nothing_is_drawn_or_the_draw_is_seeded() {
        let chat = Endpoint::ChatCompletions;
        for (endpoint, payload, expected) in [
            (chat, r#"{"model":"m"}"#, false),
            (chat, r#"{"model":"m","temperature":0}"#, true),
            (chat, r#"{"model":"m","temperature":0.0,"seed":null}"#, true),
            (chat, r#"{"model":"m","temperature":-0e5}"#, true),
            (chat, r#"{"model":"m","temperature":0.1}"#, false),
            (chat, r#"{"model":"m","temperature":null}"#, false),
            (chat, r#"{"model":"m","temperature":"0"}"#, false),
            (chat, r#"{"model":"m","temperature":0,"temperature":1}"#, false),
            (chat, r#"{"model":"m","x":{"temperature":0,"seed":1}}"#, false),
            (chat, r#"{"model":"m","temperature":1,"seed":7}"#, true),
            (chat, r#"{"model":"m","seed":null}"#, false),
            (Endpoint::Completions, r#"{"model":"m","seed":0}"#, true),
            (Endpoint::ImageGenerations, r#"{"model":"m"}"#, false),
            (Endpoint::ImageGenerations, r#"{"model":"m","seed":1}"#, true),
            (Endpoint::Embeddings, r#"{"model":"m"}"#, true),
            (Endpoint::Rerank, r#"{"model":"m"}"#, true),
            (Endpoint::Speech, r#"{"model":"m"}"#, true),
        ] {
            let request = request(endpoint, &[], None, payload);
            assert_eq!(is_repeatable(&request), expected, "{endpoint} {payload}");
        }
    }
}
