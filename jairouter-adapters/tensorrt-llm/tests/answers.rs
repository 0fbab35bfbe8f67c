//! Answers that are not as they should be, and what is made of them.
#![cfg(test)]

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind};
use jairouter_tensorrt_llm::TensorRtLlm;
use proptest::prelude::*;
use serde_json::{Value, json};

mod support;
use support::{decoded, question};

fn ask(endpoint: Endpoint, stream: bool) -> InferenceRequest {
    question(endpoint, &json!({"stream": stream}))
}

const BOTH: [Endpoint; 2] = [Endpoint::ChatCompletions, Endpoint::Completions];

#[test]
fn what_it_thinks_is_told_once_whichever_names_it_has() {
    let chat = ask(Endpoint::ChatCompletions, true);
    for (delta, expected) in [
        (r#"{"reasoning":"a","reasoning_content":"a"}"#, json!({"reasoning_content": "a"})),
        (r#"{"reasoning":"a","reasoning_content":null}"#, json!({"reasoning_content": "a"})),
        (r#"{"reasoning":"a"}"#, json!({"reasoning_content": "a"})),
        (r#"{"reasoning":null,"content":"b"}"#, json!({"content": "b"})),
    ] {
        let chunk =
            format!(r#"{{"created":18446744073709551616,"choices":[{{"delta":{delta}}}]}}"#);
        let (said, error) = decoded(&chat, &[&format!("data: {chunk} \n\ndata: [DONE] \n\n")]);
        assert!(error.is_none(), "{error:?}");
        assert!(said.contains("18446744073709551616") && said.ends_with("data: [DONE]\n\n"));
        let event = said.lines().next().unwrap().strip_prefix("data: ").unwrap();
        let event: Value = serde_json::from_str(event).unwrap();
        assert_eq!(event["choices"][0]["delta"], expected, "{delta}");

        let answer = format!(r#"{{"choices":[{{"message":{delta}}}]}}"#);
        let (said, error) = decoded(&ask(Endpoint::ChatCompletions, false), &[&answer]);
        assert!(error.is_none(), "{error:?}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["choices"][0]["message"], expected, "{delta}");
    }
}

#[test]
fn a_dropped_connection_is_an_error_and_nothing_follows_the_end() {
    for endpoint in BOTH {
        let chunk = "data: {\"choices\":[{\"index\":0}]} \n\n";
        let (said, error) = decoded(&ask(endpoint, true), &[chunk]);
        assert_eq!(error.unwrap().kind(), Kind::Broken);
        assert!(said.contains("choices") && !said.contains("[DONE]"));
        let (said, error) = decoded(&ask(endpoint, true), &[chunk, "data: [DONE] \n\n", chunk]);
        assert!(error.is_none() && said.ends_with("data: [DONE]\n\n"), "{said}");
        let (_, error) = decoded(&ask(endpoint, true), &[]);
        assert_eq!(error.unwrap().kind(), Kind::Broken);
    }
}

#[test]
fn an_error_in_a_200_is_an_error() {
    let flat = r#"{"object":"error","message":"boom","type":"BadRequestError","code":400}"#;
    for endpoint in BOTH {
        for (answer, kind) in [(r#"{"error":"boom"}"#, Kind::Broken), (flat, Kind::Rejected)] {
            let (said, error) = decoded(&ask(endpoint, false), &[answer]);
            let error = error.unwrap();
            assert_eq!((error.kind(), &*said), (kind, ""), "{answer}");
            assert!(String::from_utf8_lossy(error.answer().unwrap()).contains("boom"));
            let stream = format!("data: {answer} \n\ndata: [DONE] \n\n");
            let (said, error) = decoded(&ask(endpoint, true), &[&stream]);
            assert_eq!((error.unwrap().kind(), &*said), (kind, ""), "{answer}");
        }
        for nonsense in ["", "<html>", "[]", "{}", "null", r#"{"choices":"#] {
            let (_, error) = decoded(&ask(endpoint, false), &[nonsense]);
            assert_eq!(error.map(|error| error.kind()), Some(Kind::Broken), "{nonsense}");
        }
    }
}

#[test]
fn answers_of_other_endpoints_pass_untouched() {
    for endpoint in [Endpoint::Embeddings, Endpoint::Responses] {
        let (said, error) = decoded(&ask(endpoint, false), &["what", "ever"]);
        assert!(error.is_none() && said == "whatever");
    }
}

#[test]
fn errors_are_told_in_the_server_s_own_words() {
    let refusal = |status: u16, body: &'static str| {
        let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
        *answer.status_mut() = StatusCode::from_u16(status).unwrap();
        TensorRtLlm::new().refusal(&ask(Endpoint::Embeddings, false), &answer)
    };
    let error = refusal(400, r#"{"error":"[{'type': 'extra_forbidden', 'loc': ('body', 'x')}]"}"#);
    assert_eq!(error.kind(), Kind::Rejected);
    assert!(String::from_utf8_lossy(error.answer().unwrap()).contains("extra_forbidden"));
    let error = refusal(404, r#"{"detail":"Not Found"}"#);
    assert_eq!(error.kind(), Kind::Unsupported, "it was started for another task: {error}");
    assert_eq!(refusal(404, r#"{"error":"no such model"}"#).kind(), Kind::ModelAbsent);
    let error = refusal(503, "LLM is unavailable. Please check the server logs for more details.");
    assert_eq!((error.kind(), error.status().as_u16()), (Kind::Failed, 503));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        text in r#"(data: ?)?\{"choices":\[\{"(delta|message)":[a-z"{}:\[\]0-9, ]{0,24}(reasoning)?"#,
        stream: bool,
    ) {
        for endpoint in BOTH {
            let payload = [br#"{"model":"m","#, &*bytes].concat();
            let headers = http::HeaderMap::new();
            if let Ok(odd) = InferenceRequest::new(endpoint, headers, payload.into()) {
                let _ = TensorRtLlm::new().encode(&odd);
            }
            let _ = decoded(&ask(endpoint, stream), &[&text, "\n\n"]);
            let _ = decoded(&ask(endpoint, stream), &[&String::from_utf8_lossy(&bytes), "\n\n"]);
        }
    }
}
