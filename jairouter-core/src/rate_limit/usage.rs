//! How many tokens a request may take.

use bytes::Bytes;

use crate::endpoint::ServiceType;
use crate::needle::Needle;
use crate::request::InferenceRequest;
use crate::usage::BYTES_A_TOKEN;

/// What a picture or a sound is taken for, in tokens: most engines' models scale it to about that.
const MEDIA: u64 = 500;

/// What an answer is taken for whose length the request does not bound, in tokens.
const ANSWER: u64 = 256;

/// What a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Estimate {
    pub(super) prompt: u64,
    pub(super) answer: u64,
}

impl Estimate {
    pub(super) fn of(request: &InferenceRequest) -> Self {
        let answer = match request.endpoint.service_type() {
            ServiceType::Chat => {
                let bounds = request.noted().bounds().unwrap_or_default();
                let each = bounds.max_completion_tokens.or(bounds.max_tokens).unwrap_or(ANSWER);
                each.saturating_mul(bounds.n.unwrap_or(1).max(1))
            }
            _ => 0,
        };
        Self { prompt: request.prompt(prompt), answer }
    }

    pub(super) fn total(self) -> u64 {
        self.prompt.saturating_add(self.answer)
    }
}

/// The text of a payload in tokens; what is inlined in base64 is no text.
fn prompt(payload: &Bytes) -> u64 {
    static BASE64: Needle = Needle::new(b";base64,");
    let mut text = payload.len();
    let mut media = 0;
    for start in BASE64.find_iter(payload) {
        let end = memchr::memchr(b'"', &payload[start..]).unwrap_or(payload.len() - start);
        text = text.saturating_sub(end);
        media += MEDIA;
    }
    text.div_ceil(BYTES_A_TOKEN) as u64 + media
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::endpoint::Endpoint;

    fn estimate(endpoint: Endpoint, payload: &str) -> Estimate {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        Estimate::of(&InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap())
    }

    #[test]
    fn a_request_is_estimated_by_its_text_and_the_bound_of_its_answer() {
        let chat =
            |more: &str| estimate(Endpoint::ChatCompletions, &format!(r#"{{"model":"m"{more}}}"#));
        assert_eq!(chat("").answer, ANSWER);
        assert_eq!(chat(r#","max_tokens":7"#).answer, 7);
        assert_eq!(chat(r#","max_tokens":7,"max_completion_tokens":9,"n":2"#).answer, 18);
        assert_eq!(chat(r#","max_tokens":"x""#).answer, ANSWER);
        assert_eq!(chat(&format!(r#","x":"{}""#, "y".repeat(4000))).prompt / 100, 10);
        let image = format!(r#","x":"data:image/png;base64,{}""#, "A".repeat(1 << 20));
        assert!((500..520).contains(&chat(&image).prompt), "{:?}", chat(&image));
        assert_eq!(estimate(Endpoint::Embeddings, r#"{"model":"m","input":"x"}"#).answer, 0);
    }
}
