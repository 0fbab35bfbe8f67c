//! Bytes that are no answer, and questions that are none, harm nobody.
#![cfg(test)]

use jairouter_core::{Backend, Endpoint};
use jairouter_gemini::Gemini;
use proptest::prelude::*;
use serde_json::{Value, json};

mod support {
    #[allow(dead_code, reason = "one of several tests")]
    pub(crate) mod play;
}
use support::play::{decoded, question};

const STREAM: &str = r#"data: {"candidates":[{"content":{"parts":[{"text":"h","thought":true}]},"index":0}]}

data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{}},"thoughtSignature":"YQ=="}]}}],"modelVersion":"m"}

data: {"candidates":[{"content":{"parts":[{"text":""}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}

"#;

const WHOLE: &str = r#"{"candidates":[{"content":{"parts":[{"text":"x"},{"functionCall":{"name":"f","args":{"x":1}},
"thoughtSignature":"YQ=="}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":1}}"#;

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z:;,/]{0,12}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("type"),
        Just("text"),
        Just("role"),
        Just("content"),
        Just("function"),
        Just("name"),
        Just("image_url"),
        Just("url"),
        Just("tool_calls"),
        Just("arguments"),
        Just("schema"),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..4).prop_map(|fields| {
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn an_answer_with_any_byte_changed_is_an_answer_or_an_error(
        stream in any::<bool>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let text = if stream { STREAM } else { WHOLE };
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let (said, error) = decoded(&question(Endpoint::ChatCompletions, &json!({"stream": stream})), &[bytes.into()]);
        prop_assert_eq!(stream && error.is_none(), said.ends_with("data: [DONE]\n\n"));
        prop_assert!(error.is_none() || !said.contains("finish_reason\":\""));
    }

    #[test]
    fn any_question_is_asked_or_refused(
        name in prop_oneof![
            Just("messages"), Just("tools"), Just("tool_choice"), Just("response_format"),
            Just("stop"), Just("thinking_config"), Just("input"), Just("temperature"),
        ],
        value in anything(),
    ) {
        let message = json!({"messages": [value], "tools": [value]});
        for more in [json!({name: value}), message] {
            for endpoint in [Endpoint::ChatCompletions, Endpoint::Embeddings] {
                if let Ok(native) = Gemini::new().encode(&question(endpoint, &more)) {
                    let native: Value = serde_json::from_slice(&native).unwrap();
                    prop_assert!(native.is_object());
                }
            }
        }
    }
}
