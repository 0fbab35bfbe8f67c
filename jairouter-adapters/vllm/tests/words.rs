//! What vLLM is asked, and where.
#![cfg(test)]

use bytes::Bytes;
use http::HeaderMap;
use jairouter_core::{Backend, Endpoint, Error, InferenceRequest, Kind, Route};
use jairouter_vllm::Vllm;

fn request(endpoint: Endpoint, payload: &str) -> InferenceRequest {
    InferenceRequest::new(endpoint, HeaderMap::new(), payload.to_owned().into()).unwrap()
}

fn asked(payload: &str) -> Result<Bytes, Error> {
    Vllm::new().encode(&request(Endpoint::ChatCompletions, payload))
}

#[test]
fn the_older_names_of_structured_outputs_are_understood() {
    for (older, newer) in [
        (r#""guided_json":{"type":"object"}"#, r#"{"json":{"type":"object"}}"#),
        (r#""guided_regex":"a+","guided_decoding_backend":"x""#, r#"{"regex":"a+"}"#),
        (r#""guided_grammar":"g","guided_choice":null"#, r#"{"grammar":"g"}"#),
        (
            r#""guided_json":"{}","guided_whitespace_pattern":" ""#,
            r#"{"json":"{}","whitespace_pattern":" "}"#,
        ),
    ] {
        let payload = format!(r#"{{"model":"m",{older},"seed":18446744073709551616}}"#);
        let expected =
            format!(r#"{{"model":"m","seed":18446744073709551616,"structured_outputs":{newer}}}"#);
        assert_eq!(asked(&payload).unwrap(), expected);
        let completion = request(Endpoint::Completions, &payload);
        assert_eq!(Vllm::new().encode(&completion).unwrap(), expected);
    }
}

#[test]
fn two_ways_to_say_it_at_once_are_one_too_many() {
    let both = r#"{"model":"m","guided_regex":"a","structured_outputs":{"regex":"b"}}"#;
    let error = asked(both).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Invalid, Some("structured_outputs")));
}

#[test]
fn what_says_nothing_of_it_is_not_even_copied() {
    for payload in [
        r#"{ "model":"m", "structured_outputs":{"regex":"b"}, "unknown":1.0 }"#,
        r#"{"model":"m","messages":[{"role":"user","content":"what is a \"guided_json\"?"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"x","guided_json":1}]}"#,
    ] {
        let request = request(Endpoint::ChatCompletions, payload);
        let sent = Vllm::new().encode(&request).unwrap();
        assert_eq!(sent.as_ptr(), request.payload.as_ptr(), "{payload}");
    }
}

#[test]
fn every_endpoint_is_where_vllm_has_it() {
    let path = |endpoint| Vllm::new().path(&Route::new(endpoint, "m", false));
    for &endpoint in Endpoint::ALL {
        let expected = match endpoint {
            Endpoint::Tokenize => Some("/tokenize"),
            Endpoint::Detokenize => Some("/detokenize"),
            Endpoint::Speech
            | Endpoint::ImageGenerations
            | Endpoint::ImageEdits
            | Endpoint::ImageVariations
            | Endpoint::Moderations => None,
            other => Some(other.path()),
        };
        assert_eq!(path(endpoint).as_deref(), expected, "{endpoint}");
    }
    assert_eq!((Vllm::new().name(), &*Vllm::new().health()), ("vllm", "/health"));
}
