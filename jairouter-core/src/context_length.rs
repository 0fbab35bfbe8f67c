//! Whether a refusal says that the prompt does not fit the model: the one mistake of a caller's
//! that another model may cure.

use serde::Deserialize;

use crate::error::{Error, Kind};

/// `error.code` in OpenAI's API, and of every engine that follows it there.
const CODE: &str = "context_length_exceeded";

/// `error.type` in llama.cpp's server.
const TYPE: &str = "exceed_context_size_error";

/// What engines without a code of their own say, in lower case.
const PHRASES: [&str; 9] = [
    // vLLM, SGLang, Ollama; OpenAI itself.
    "maximum context length",
    // vLLM's V1 engine.
    "longer than the maximum model length",
    // SGLang.
    "longer than the model's context length",
    // llama.cpp.
    "exceeds the available context size",
    // Ollama's embeddings.
    "exceeds the context length",
    // llama-cpp-python, which Xinference runs.
    "exceed context window of",
    // TGI and TEI, for the prompt alone and with what it is to be continued by.
    "`inputs` must have less than",
    "`inputs` tokens + `max_new_tokens` must be <=",
    // TensorRT-LLM.
    "should not exceed max_num_tokens",
];

#[derive(Deserialize)]
struct Envelope {
    error: Fields,
}

#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

impl Error {
    /// Whether an instance refused the request because it is longer than the model's context.
    ///
    /// Told by the code, where an engine has one for it, and by the engine's usual words elsewhere.
    /// Only a refusal ([`Kind::Rejected`]) is read: an engine that calls it a failure of its own is
    /// treated as one that failed.
    ///
    /// ```
    /// use jairouter_core::{Error, Kind};
    ///
    /// let envelope = r#"{"error":{"message":"…","code":"context_length_exceeded"}}"#;
    /// let refused = Error::new(Kind::Rejected, "refused").with_answer(envelope.into());
    /// assert!(refused.is_context_length());
    /// ```
    pub fn is_context_length(&self) -> bool {
        if self.kind() != Kind::Rejected {
            return false;
        }
        if self.code() == CODE || says_so(self.message()) {
            return true;
        }
        let envelope = self.answer().and_then(|body| serde_json::from_slice::<Envelope>(body).ok());
        envelope.is_some_and(|Envelope { error }| {
            error.code.as_deref() == Some(CODE)
                || error.r#type.as_deref() == Some(TYPE)
                || error.message.as_deref().is_some_and(says_so)
        })
    }
}

fn says_so(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Response;
    use serde_json::json;

    use super::*;
    use crate::refusal;

    fn refused(status: u16, body: &str) -> Error {
        let answer = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        refusal::classify(&answer)
    }

    #[test]
    fn every_engine_s_way_to_say_that_a_prompt_is_too_long_is_known() {
        for (engine, message) in [
            ("vLLM", "This model's maximum context length is 40960 tokens. However, …"),
            (
                "vLLM V1",
                "The decoder prompt (length 9) is longer than the maximum model length of 8.",
            ),
            (
                "SGLang",
                "The input (9 tokens) is longer than the model's context length (8 tokens).",
            ),
            (
                "SGLang, of the sum",
                "Requested token count exceeds the model's maximum context length of 8 tokens.",
            ),
            (
                "llama.cpp",
                "request (9 tokens) exceeds the available context size (8 tokens), try increasing it",
            ),
            ("Ollama", "the input length exceeds the context length"),
            ("Xinference", "Requested tokens (9) exceed context window of 8"),
            ("TGI", "Input validation error: `inputs` must have less than 8 tokens. Given: 9"),
            (
                "TGI, of the sum",
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: …",
            ),
            (
                "TensorRT-LLM",
                "The sum of prompt length (9.0), query length (0) should not exceed max_num_tokens (8)",
            ),
        ] {
            let envelope = json!({"error": {"message": message, "type": "t", "code": null}});
            let flat = json!({"object": "error", "message": message, "code": 400});
            let texts = [envelope, flat, json!({"error": message}), json!({"detail": message})];
            for text in texts.iter().map(ToString::to_string).chain([message.to_uppercase()]) {
                assert!(refused(400, &text).is_context_length(), "{engine}: {text}");
                assert!(refused(422, &text).is_context_length(), "{engine}: {text}");
            }
        }
    }

    #[test]
    fn a_code_or_a_type_says_it_without_words() {
        for fields in [
            json!({"message": "x", "type": "t", "param": null, "code": "context_length_exceeded"}),
            json!({"message": "x", "type": "exceed_context_size_error", "code": 400, "n_ctx": 8}),
        ] {
            let refused = refused(400, &json!({ "error": fields }).to_string());
            assert!(refused.is_context_length(), "{fields}");
        }
        let own = Error::new(Kind::Rejected, "x").with_code("context_length_exceeded");
        assert!(own.is_context_length());
    }

    #[test]
    fn any_other_refusal_is_not_one() {
        for (status, body) in [
            (400, r#"{"error":{"message":"bad temperature","type":"t","param":null,"code":"c"}}"#),
            (400, r#"{"error":{"message":"messages must not be empty"}}"#),
            (422, "context"),
            (404, r#"{"error":"maximum context length"}"#),
            (500, r#"{"error":"maximum context length"}"#),
        ] {
            assert!(!refused(status, body).is_context_length(), "{status} {body}");
        }
        let ours = Error::new(Kind::Invalid, "maximum context length");
        assert!(!ours.is_context_length(), "no instance said so");
    }
}
