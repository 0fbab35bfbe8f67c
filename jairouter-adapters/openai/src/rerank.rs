//! Rerankings in any shape of the field, in Jina's.
//!
//! | who | their shape |
//! |---|---|
//! | Jina, vLLM, `GPUStack`, `LocalAI` | `{"results":[{"index","relevance_score","document":{"text"}}],"usage"}`, with or without an id |
//! | `SGLang` | a bare list of `{"index","score","document":"text"}` |
//! | llama.cpp | `{"results":[{"index","relevance_score"}],"usage"}` |
//! | Xinference | `{"results":[{…,"document":null}],"meta":{"tokens":{"input_tokens"}}}` |
//! | TEI | a bare list of `{"index","score","text"}` |

use std::borrow::Cow;

use bytes::Bytes;
use http::Response;
use jairouter_core::{Body, Error, InferenceRequest, Kind, refusal, translate};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::answer;
use crate::fields::{Fields, is_empty};

/// What of a request has to do with the answer's form.
#[derive(Deserialize, Default)]
struct Asked {
    #[serde(default)]
    top_n: Option<u64>,
    #[serde(default)]
    return_documents: Option<bool>,
    #[serde(default)]
    documents: Vec<Box<RawValue>>,
}

/// The documents as texts, for engines that take nothing else: `{"text":…}` becomes its text. Without
/// such a document the request passes as it is.
///
/// # Errors
///
/// If the request is no object.
pub fn encode_texts(request: &InferenceRequest) -> Result<Bytes, Error> {
    let mut fields = Fields::of_request(request)?;
    let documents: Option<Vec<&RawValue>> =
        fields.given("documents").and_then(|list| serde_json::from_str(list.get()).ok());
    let text = |document: &RawValue| -> Option<Box<RawValue>> {
        Fields::of(document)?.given("text").map(RawValue::to_owned)
    };
    let documents = documents.unwrap_or_default();
    let texts: Vec<_> = documents.iter().map(|document| text(document)).collect();
    if texts.iter().all(Option::is_none) {
        return Ok(request.payload.clone());
    }
    let texts: Vec<_> = texts
        .into_iter()
        .zip(documents)
        .map(|(text, document)| text.map_or(Cow::Borrowed(document), Cow::Owned))
        .collect();
    let texts = serde_json::value::to_raw_value(&texts).ok();
    if let Some(texts) = texts {
        fields.put("documents", Cow::Owned(texts));
    }
    Ok(fields.write())
}

/// A reranking in Jina's shape: best first, as many as were asked for, and with the documents unless
/// the caller does not want them back. One that has it keeps its bytes.
pub fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let request = request.clone();
    answer::whole(answer, move |bytes| rewrite(&request, bytes))
}

fn rewrite(request: &InferenceRequest, bytes: Bytes) -> Result<Bytes, Error> {
    let asked: Asked = serde_json::from_slice(&request.payload).unwrap_or_default();
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    let (mut answer, list) = if is_list {
        (Fields::new(), translate::parse(&bytes)?)
    } else {
        let answer: Fields<'_> = translate::parse(&bytes)?;
        if answer.given("error").is_some_and(|error| !is_empty(error)) {
            return Err(refusal::in_stream(&bytes));
        }
        let list = answer.given("results").map(|list| translate::parse(list.get().as_bytes()));
        let list = list.transpose()?.ok_or_else(|| broken("holds no results"))?;
        (answer, list)
    };
    let list: Vec<Box<RawValue>> = list;
    let mut results = Vec::with_capacity(list.len());
    let mut is_fine = !is_list && ["id", "model", "usage"].iter().all(|key| answer.says(key));
    for item in &list {
        let item = Fields::of(item).ok_or_else(|| broken("holds no results"))?;
        let (result, was_fine) = Ranked::read(&item, &asked)?;
        is_fine &= was_fine;
        results.push(result);
    }
    is_fine &= results.is_sorted_by(|a, b| a.score >= b.score);
    results.sort_by(|a, b| b.score.total_cmp(&a.score));
    let most = asked.top_n.filter(|most| *most > 0).map_or(usize::MAX, |most| most as usize);
    is_fine &= results.len() <= most;
    results.truncate(most);
    if is_fine {
        return Ok(bytes);
    }
    if !answer.says("id") {
        answer.set("id", &answer::id("rerank-"));
    }
    if !answer.says("model") {
        answer.set("model", &&*request.model);
    }
    if !answer.says("usage") {
        let tokens = input_tokens(&answer);
        answer.set("usage", &Usage { prompt_tokens: tokens, total_tokens: tokens });
    }
    answer.set("results", &results);
    Ok(answer.write())
}

/// What Xinference counts, if it was asked to.
fn input_tokens(answer: &Fields<'_>) -> u64 {
    let count = || {
        let meta = Fields::of(answer.given("meta")?)?;
        let tokens = Fields::of(meta.given("tokens")?)?;
        tokens.given("input_tokens")?.get().parse().ok()
    };
    count().unwrap_or(0)
}

#[derive(Serialize)]
struct Usage {
    prompt_tokens: u64,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Ranked {
    index: u64,
    /// As it came, to the last digit.
    relevance_score: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Document>,
    #[serde(skip)]
    score: f64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Document {
    Text { text: Box<RawValue> },
    Whole(Box<RawValue>),
}

impl Document {
    fn of(value: &RawValue) -> Self {
        let value = value.to_owned();
        if value.get().starts_with('"') { Self::Text { text: value } } else { Self::Whole(value) }
    }
}

impl Ranked {
    /// Reads a result, and whether it is Jina's already.
    fn read(item: &Fields<'_>, asked: &Asked) -> Result<(Self, bool), Error> {
        let index = item.given("index").and_then(|index| index.get().parse::<u64>().ok());
        let index = index.ok_or_else(|| broken("ranks no document"))?;
        let own = item.given("relevance_score");
        let given = own.or_else(|| item.given("score"));
        let score = given.and_then(|score| Some((score, score.get().parse::<f64>().ok()?)));
        let (relevance_score, score) = score.ok_or_else(|| broken("holds no score"))?;
        let said = item.given("document");
        let is_object = said.is_some_and(|document| document.get().starts_with('{'));
        let (document, was_fine) = if asked.return_documents == Some(false) {
            (None, said.is_none())
        } else {
            let asked = || asked.documents.get(index as usize).map(|document| &**document);
            let document = said.or_else(|| item.given("text")).or_else(asked);
            (document.map(Document::of), is_object)
        };
        let ranked = Self { index, relevance_score: relevance_score.to_owned(), document, score };
        Ok((ranked, was_fine && own.is_some()))
    }
}

fn broken(what: &str) -> Error {
    Error::new(Kind::Broken, format!("the instance's answer {what}"))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jairouter_core::Endpoint;
    use serde_json::{Value, json};

    use super::*;

    fn told(more: &Value, answer: &str) -> Result<Value, Error> {
        let mut question = json!({"model": "m", "query": "q", "documents": ["a", {"text": "b"}]});
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let payload = question.to_string().into();
        let request = InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload).unwrap();
        let bytes = rewrite(&request, Bytes::copy_from_slice(answer.as_bytes()))?;
        let mut told: Value = serde_json::from_slice(&bytes).unwrap();
        assert!(told["id"].as_str().is_some_and(|id| !id.is_empty()), "{told}");
        assert!(told["model"].is_string() && told["usage"].is_object(), "{told}");
        Ok(told["results"].take())
    }

    #[test]
    fn every_shape_of_the_field_becomes_jina_s() {
        let expected = json!([
            {"index": 1, "relevance_score": 0.9, "document": {"text": "b"}},
            {"index": 0, "relevance_score": -3.5, "document": {"text": "a"}},
        ]);
        for shape in [
            r#"[{"score":0.9,"document":"b","index":1},{"score":-3.5,"document":"a","index":0}]"#,
            r#"[{"index":0,"score":-3.5,"text":"a"},{"index":1,"score":0.9}]"#,
            r#"{"results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":-3.5}]}"#,
            r#"{"results":[{"index":1,"relevance_score":0.9,"document":null},
                {"index":0,"relevance_score":-3.5,"document":{"text":"a"}}],"meta":{"tokens":null}}"#,
        ] {
            assert_eq!(told(&json!({}), shape).unwrap(), expected, "{shape}");
        }
    }

    #[test]
    fn it_is_as_long_as_was_asked_and_has_no_documents_that_were_not() {
        let answer = r#"[{"index":0,"score":1,"document":"a"},{"index":1,"score":2,"text":"b"}]"#;
        let one = told(&json!({"top_n": 1, "return_documents": false}), answer).unwrap();
        assert_eq!(one, json!([{"index": 1, "relevance_score": 2}]));
        assert_eq!(told(&json!({"top_n": 0}), answer).unwrap().as_array().unwrap().len(), 2);
    }

    #[test]
    fn what_is_jina_s_already_keeps_its_bytes() {
        let answer = r#"{ "id":"r", "model":"m", "usage":{"total_tokens":1},
            "results":[{"index":0,"relevance_score":1.50,"document":{"text":"a","x":null}}] }"#;
        let payload = r#"{"model":"m","documents":["a"]}"#.into();
        let request = InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload).unwrap();
        assert_eq!(rewrite(&request, Bytes::from_static(answer.as_bytes())).unwrap(), answer);
    }

    #[test]
    fn an_answer_that_ranks_nothing_is_an_error() {
        for wrong in ["", "{", "{}", "7", "[1]", r#"{"results":1}"#, r#"[{"index":0}]"#, "null"] {
            assert_eq!(told(&json!({}), wrong).unwrap_err().kind(), Kind::Broken, "{wrong}");
        }
        assert!(told(&json!({}), r#"{"error":{"message":"no"}}"#).is_err());
        assert!(told(&json!({}), r#"[{"index":9,"score":1}]"#).is_ok(), "of a document unknown");
    }

    #[test]
    fn documents_become_texts_and_those_that_are_pass() {
        let ask = |documents: &str| {
            let payload = format!(r#"{{"model":"m","documents":{documents},"top_n":1}}"#);
            let request =
                InferenceRequest::new(Endpoint::Rerank, HeaderMap::new(), payload.into()).unwrap();
            (encode_texts(&request).unwrap(), request.payload.clone())
        };
        let (sent, _) = ask(r#"["a",{"text":"b"}]"#);
        assert_eq!(sent, r#"{"model":"m","documents":["a","b"],"top_n":1}"#);
        for same in [r#"["a", "b"]"#, "[]", "7", r#"[{"image":"x"}]"#] {
            let (sent, payload) = ask(same);
            assert_eq!(sent.as_ptr(), payload.as_ptr(), "{same}");
        }
    }
}
