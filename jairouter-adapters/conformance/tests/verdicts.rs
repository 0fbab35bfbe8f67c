//! The kit finds what is wrong.
#![cfg(test)]

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_conformance::{Exchanges, check_refusals};
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, Route, translate};

/// A backend with a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Faulty {
    None,
    WrongPath,
    ChangesRequests,
    ChangesAnswers,
    BelievesInHalves,
    BlamesNobody,
}

impl Backend for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        match (self, route.endpoint) {
            (Self::WrongPath, Endpoint::ChatCompletions) => Some("/v1/chat".into()),
            (_, endpoint) => Some(endpoint.path().into()),
        }
    }

    fn encode(&self, request: &InferenceRequest) -> Result<Bytes, Error> {
        match self {
            Self::ChangesRequests => Ok(request.with_model("other").payload.clone()),
            _ => Ok(request.payload.clone()),
        }
    }

    fn decode(&self, _: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
        match self {
            Self::ChangesAnswers => answer.map(|body| {
                translate::whole(body, 1 << 20, |bytes| Ok([&bytes, &b" "[..]].concat().into()))
            }),
            Self::BelievesInHalves => answer.map(|body| {
                let all = |bytes: Bytes| Ok([&bytes, &b"\n\ndata: [DONE]\n\n"[..]].concat().into());
                translate::whole(body, 1 << 20, all)
            }),
            _ => answer,
        }
    }

    fn refusal(&self, request: &InferenceRequest, answer: &Response<Bytes>) -> Error {
        let _ = request;
        match self {
            Self::BlamesNobody => Error::new(Kind::Internal, ""),
            _ => jairouter_core::refusal::classify(answer),
        }
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let row = |case: &str, stream: bool, kind: &str| {
        format!(
            r#"{{"framework":"x","case":"{case}","service":"chat","stream":{stream},
            "upstream":{{"method":"POST","path":"/v1/chat/completions","status":200,"content_type":"{kind}"}},
            "files":{{"request":"{case}.request","response":"{case}.response"}}}}"#
        )
    };
    let rows = [row("chat", false, "application/json"), row("stream", true, "text/event-stream")];
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let stream = [
        chunk(r#"{"role":"assistant","content":"Hi"}"#, "null"),
        chunk(r#"{"content":" there"}"#, "null"),
        chunk("{}", "\"stop\""),
        "data: [DONE]\n\n".to_owned(),
    ];
    for (name, text) in [
        ("index.json", format!("[{}]", rows.join(","))),
        ("chat.request", r#"{"model":"m","messages":[]}"#.to_owned()),
        ("chat.response", r#"{"choices":[]}"#.to_owned()),
        ("stream.request", r#"{"model":"m","messages":[],"stream":true}"#.to_owned()),
        ("stream.response", stream.concat()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_backend_without_a_fault_passes() {
    let folder = folder();
    let exchanges = Exchanges::read(folder.path()).unwrap();
    assert_eq!(exchanges.rows().len(), 2);
    exchanges.check(&Faulty::None).and(check_refusals(&Faulty::None)).assert(150);
}

#[test]
fn every_fault_is_found_and_told_with_its_case() {
    let folder = folder();
    let exchanges = Exchanges::read(folder.path()).unwrap();
    for (fault, told) in [
        (Faulty::WrongPath, "POST /v1/chat was asked"),
        (Faulty::ChangesRequests, "the caller's bytes were changed"),
        (Faulty::ChangesAnswers, "the engine's bytes were changed"),
        (Faulty::BelievesInHalves, "the engine's bytes were changed"),
    ] {
        let verdict = exchanges.check(&fault);
        assert!(!verdict.failures().is_empty(), "{fault:?}");
        let found = verdict
            .failures()
            .iter()
            .any(|failure| failure.case.starts_with("x/") && failure.what.contains(told));
        assert!(found, "{fault:?}: {verdict}");
    }
    let verdict = check_refusals(&Faulty::BlamesNobody);
    assert!(verdict.failures().len() > 100, "{verdict}");
}

#[test]
#[should_panic(expected = "2 were checked, and not 3")]
fn too_few_cases_are_a_failure_too() {
    let folder = folder();
    Exchanges::read(folder.path()).unwrap().check(&Faulty::None).assert(3);
}

#[test]
fn a_folder_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let error = Exchanges::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains("index.json"), "{error}");
    std::fs::write(folder.path().join("index.json"), "{}").unwrap();
    assert!(Exchanges::read(folder.path()).is_err());
}

/// An engine whose paths name the model, and which refuses our key.
#[derive(Debug, Clone, Copy)]
struct InThePath;

impl Backend for InThePath {
    fn name(&self) -> &'static str {
        "in-the-path"
    }

    fn path(&self, route: &Route<'_>) -> Option<Cow<'static, str>> {
        Some(format!("/v1/models/{}:chat", route.model).into())
    }
}

#[test]
fn a_path_may_name_the_model_and_what_is_said_of_a_key_stays_with_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let row = r#"[{"framework":"x","case":"key",
        "upstream":{"method":"POST","path":"/v1/models/big:chat","status":401},
        "client":{"path":"/v1/chat/completions","status":502},
        "files":{"response":"theirs","openai.response":"ours"},"response_pair":true}]"#;
    let refusal = r#"{"error":{"message":"sk-1 is no key","type":"t","param":null,"code":null}}"#;
    for (name, text) in [("index.json", row), ("theirs", refusal), ("ours", refusal)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    Exchanges::read(folder.path()).unwrap().check(&InThePath).assert(1);
}
