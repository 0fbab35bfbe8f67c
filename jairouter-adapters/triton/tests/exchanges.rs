//! Recorded exchanges in both directions, wherever the network cuts the answers.
#![cfg(test)]

use jairouter_conformance::{Exchange, Exchanges, Verdict, check_refusals};
use jairouter_core::{Backend, Endpoint, InferenceRequest, Kind, Route};
use jairouter_triton::{Dialect, Settings, StreamText, Template, Triton};

fn exchanges() -> Exchanges {
    Exchanges::read("tests/fixtures").unwrap()
}

/// Exchanges with a model of this name behind these settings. Only an ensemble does not tell why an
/// answer has ended, and so not that it has.
fn check(settings: Settings, model: &str, keep: impl Fn(&Exchange) -> bool) -> Verdict {
    let tells_reasons = matches!(model, "tensorrt_llm" | "vllm_model");
    let path = format!("/v2/models/{model}/generate");
    let is_its_own = |row: &Exchange| {
        row.upstream.path.starts_with(&path) || row.upstream.path == "/v2/repository/index"
    };
    let mut exchanges = exchanges().only(is_its_own).only(keep);
    if !tells_reasons {
        exchanges = exchanges.ended_by_their_body();
    }
    exchanges.check(&Triton::with(settings.model(model).template(Template::chatml())))
}

#[test]
fn an_ensemble_of_tensorrt_llm_passes_wherever_it_is_cut_and_ends() {
    let is_any = |_: &Exchange| true;
    check(Settings::new(Dialect::Ensemble), "ensemble", is_any).assert(7);
}

#[test]
fn a_bls_that_accumulates_passes_wherever_it_is_cut_and_ends() {
    let settings = Settings::new(Dialect::Ensemble).stream_text(StreamText::Cumulative);
    check(settings, "tensorrt_llm_bls", |row| row.service != "models").assert(1);
}

#[test]
fn the_llm_api_passes_wherever_it_is_cut_and_ends() {
    let is_its_own = |row: &Exchange| row.service != "models";
    check(Settings::new(Dialect::LlmApi), "tensorrt_llm", is_its_own).assert(1);
}

#[test]
fn vllm_passes_wherever_it_is_cut_and_ends() {
    let is_its_own = |row: &Exchange| row.service != "models";
    check(Settings::new(Dialect::Vllm), "vllm_model", is_its_own).assert(3);
}

#[test]
fn an_ensemble_without_generate_passes_wherever_it_is_cut_and_ends() {
    let infer = Triton::with(Settings::new(Dialect::Ensemble).model("ensemble").infer(true));
    let is_its_own = |row: &Exchange| row.upstream.path.ends_with("/infer");
    exchanges().only(is_its_own).check(&infer).assert(1);
    let ask = |more: &str| {
        let payload = format!(r#"{{"model":"m","prompt":"x"{more}}}"#).into();
        let headers = http::HeaderMap::new();
        let asked = InferenceRequest::new(Endpoint::Completions, headers, payload).unwrap();
        infer.encode(&asked)
    };
    let tensors: serde_json::Value =
        serde_json::from_slice(&ask(r#","stop":["a","b"],"seed":18446744073709551615"#).unwrap())
            .unwrap();
    let of = |name: &str| {
        let inputs = tensors["inputs"].as_array().unwrap();
        inputs.iter().find(|input| input["name"] == name).cloned().unwrap()
    };
    assert_eq!(of("stop_words")["shape"], serde_json::json!([1, 2]));
    assert_eq!(of("seed")["data"], serde_json::json!([u64::MAX]));
    let error = ask(r#","stream":true"#).unwrap_err();
    assert_eq!((error.kind(), error.param()), (Kind::Unsupported, Some("stream")));
    assert_eq!(ask(r#","n":2"#).unwrap_err().kind(), Kind::Unsupported);
    assert!(Triton::from_options([("api", "infer"), ("dialect", "vllm")]).is_err());
}

#[test]
fn every_refusal_is_an_envelope() {
    // This dialect offers all that any of them does.
    let settings = Settings::new(Dialect::Vllm).template(Template::chatml());
    check_refusals(&Triton::with(settings)).assert(450);
}

#[test]
fn it_is_well_where_it_says_so() {
    let exchanges = exchanges().only(|row| row.service == "health");
    assert_eq!(exchanges.rows()[0].upstream.path, Triton::new().health());
}

#[test]
fn models_are_those_that_are_ready_once_each() {
    let list = br#"[{"name":"a","version":"1","state":"READY"},
        {"name":"a","version":"2","state":"READY"},{"name":"b","version":"1","state":"LOADING"},
        {"name":"c"},{"name":"d","version":"1","state":"READY"}]"#;
    assert_eq!(Triton::new().model_names(list).unwrap(), ["a", "d"]);
    assert_eq!(Triton::new().models_request(), Some(r#"{"ready":true}"#));
    let entry = Triton::with(Settings::default().model("d"));
    assert_eq!(entry.model_names(list).unwrap(), ["d"], "the others are its parts");
    assert!(Triton::new().model_names(b"{}").is_err());
}

#[test]
fn a_path_names_the_model_and_whether_it_streams() {
    let path = |triton: &Triton, endpoint, model, stream| {
        triton.path(&Route::new(endpoint, model, stream)).map(std::borrow::Cow::into_owned)
    };
    let bare = Triton::new();
    let at = |stream| path(&bare, Endpoint::Completions, "a/b", stream);
    assert_eq!(at(false).unwrap(), "/v2/models/a%2Fb/generate");
    assert_eq!(at(true).unwrap(), "/v2/models/a%2Fb/generate_stream");
    let vllm = Settings::new(Dialect::Vllm).model("v").template(Template::gemma());
    let vllm = Triton::with(vllm);
    for &endpoint in Endpoint::ALL {
        use Endpoint::{ChatCompletions, Completions, Embeddings};
        let is_known = matches!(endpoint, ChatCompletions | Completions | Embeddings);
        assert_eq!(path(&vllm, endpoint, "m", false).is_some(), is_known, "{endpoint}");
        let is_bare = endpoint == Completions;
        assert_eq!(path(&bare, endpoint, "m", false).is_some(), is_bare, "{endpoint}");
        if !is_bare {
            let payload = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#.into();
            let headers = http::HeaderMap::new();
            let Ok(asked) = InferenceRequest::new(endpoint, headers, payload) else { continue };
            assert_eq!(bare.encode(&asked).unwrap_err().kind(), Kind::Unsupported, "{endpoint}");
        }
    }
    let streamed = path(&vllm, Endpoint::Embeddings, "m", true);
    assert_eq!(streamed.unwrap(), "/v2/models/v/generate", "a vector comes at once");
}
