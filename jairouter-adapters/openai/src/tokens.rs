//! Text to tokens and back in vLLM's form, of engines that have llama.cpp's or their own.

use bytes::Bytes;
use http::Response;
use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind, refusal, translate};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer;
use crate::ask;
use crate::fields::{Fields, is_empty, unsupported};

/// `{"model","prompt"}` as `{"model","content"}`, and `{"model","tokens"}` as it is: llama.cpp's form,
/// and `LocalAI`'s.
///
/// # Errors
///
/// For a chat, or for the tokens' texts, which these engines have no words for.
pub fn encode_content(request: &InferenceRequest, engine: &str) -> Result<Bytes, Error> {
    let mut asked = Fields::of_request(request)?;
    if request.endpoint == Endpoint::Detokenize {
        asked.required("tokens")?;
        return Ok(request.payload.clone());
    }
    let prompt = prompt(&asked, engine)?;
    asked.take("prompt");
    asked.set("content", &prompt);
    // vLLM's default is to add them, llama.cpp's is not.
    let add_special = asked.field("add_special_tokens", "true or false")?.unwrap_or(true);
    asked.take("add_special_tokens");
    asked.set("add_special", &add_special);
    Ok(asked.write())
}

/// The text that is to become tokens.
///
/// # Errors
///
/// For a chat, or for the tokens' texts.
pub fn prompt(asked: &Fields<'_>, engine: &str) -> Result<String, Error> {
    if asked.says("messages") {
        let message = format!("{engine} makes tokens of a 'prompt', not of a chat");
        return Err(unsupported("messages", message));
    }
    let message = "the instance does not tell the texts of tokens";
    ask::refuse_if_true(asked, &[("return_token_strs", message)])?;
    ask::one_prompt(asked, engine)
}

/// An answer in vLLM's form: `{"count","max_model_len","tokens"}`, or `{"prompt"}`. One that has it
/// keeps its bytes.
pub fn decode(request: &InferenceRequest, answer: Response<Body>) -> Response<Body> {
    let endpoint = request.endpoint;
    answer::whole(answer, move |bytes| match endpoint {
        Endpoint::Detokenize => text(bytes),
        _ => tokens(bytes),
    })
}

#[derive(Serialize)]
struct Tokens {
    count: usize,
    max_model_len: Option<Box<RawValue>>,
    tokens: Vec<Box<RawValue>>,
}

fn tokens(bytes: Bytes) -> Result<Bytes, Error> {
    let is_list = bytes.trim_ascii_start().starts_with(b"[");
    let answer = if is_list { Fields::new() } else { fields(&bytes)? };
    if answer.given("count").is_some() {
        return Ok(bytes);
    }
    let list: Vec<Box<RawValue>> = match answer.given("tokens") {
        Some(list) => translate::parse(list.get().as_bytes())?,
        None if is_list => translate::parse(&bytes)?,
        None => return Err(Error::new(Kind::Broken, "the instance's answer holds no tokens")),
    };
    // A token may come with its text.
    let id = |token: Box<RawValue>| {
        let id = Fields::of(&token).and_then(|token| token.given("id").map(RawValue::to_owned));
        id.unwrap_or(token)
    };
    let tokens: Vec<_> = list.into_iter().map(id).collect();
    let max_model_len = answer.given("max_model_len").map(RawValue::to_owned);
    let mut told = Fields::new();
    let Tokens { count, max_model_len, tokens } =
        Tokens { count: tokens.len(), max_model_len, tokens };
    told.set("count", &count);
    told.set("max_model_len", &max_model_len);
    told.set("tokens", &tokens);
    Ok(told.write())
}

fn text(bytes: Bytes) -> Result<Bytes, Error> {
    let answer = fields(&bytes)?;
    if answer.given("prompt").is_some() {
        return Ok(bytes);
    }
    let text = answer.given("content").or_else(|| answer.given("text"));
    let text =
        text.ok_or_else(|| Error::new(Kind::Broken, "the instance's answer holds no text"))?;
    let mut told = Fields::new();
    told.set("prompt", &text);
    Ok(told.write())
}

fn fields(bytes: &[u8]) -> Result<Fields<'_>, Error> {
    let answer: Fields<'_> = translate::parse(bytes)?;
    match answer.given("error").is_some_and(|error| !is_empty(error)) {
        true => Err(refusal::in_stream(bytes)),
        false => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn asked(endpoint: Endpoint, payload: &'static str) -> Result<Bytes, Error> {
        let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload.into()).unwrap();
        encode_content(&request, "it")
    }

    #[test]
    fn a_prompt_becomes_content_and_tokens_pass() {
        let sent = asked(Endpoint::Tokenize, r#"{"model":"m","prompt":"Hi","x":1}"#).unwrap();
        assert_eq!(sent, r#"{"model":"m","x":1,"content":"Hi","add_special":true}"#);
        let bare = r#"{"model":"m","prompt":"Hi","add_special_tokens":false}"#;
        let sent = asked(Endpoint::Tokenize, bare).unwrap();
        assert_eq!(sent, r#"{"model":"m","content":"Hi","add_special":false}"#);
        let back = r#"{"model":"m","tokens":[1]}"#;
        assert_eq!(asked(Endpoint::Detokenize, back).unwrap(), back);
    }

    #[test]
    fn what_has_no_word_is_refused_by_its_name() {
        for (payload, param) in [
            (r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#, "messages"),
            (r#"{"model":"m","prompt":"a","return_token_strs":true}"#, "return_token_strs"),
            (r#"{"model":"m","prompt":["a","b"]}"#, "prompt"),
            (r#"{"model":"m"}"#, "prompt"),
            (r#"{"model":"m","prompt":"a","add_special_tokens":1}"#, "add_special_tokens"),
        ] {
            let error = asked(Endpoint::Tokenize, payload).unwrap_err();
            assert_eq!(error.param(), Some(param), "{payload}");
        }
        let error = asked(Endpoint::Detokenize, r#"{"model":"m"}"#).unwrap_err();
        assert_eq!(error.param(), Some("tokens"));
    }

    #[test]
    fn tokens_and_texts_are_told_in_one_form() {
        for said in
            [r#"{"tokens":[1,18446744073709551616]}"#, r#"[{"id":1},{"id":18446744073709551616}]"#]
        {
            let told = tokens(Bytes::from_static(said.as_bytes())).unwrap();
            assert_eq!(
                told,
                r#"{"count":2,"max_model_len":null,"tokens":[1,18446744073709551616]}"#
            );
        }
        let full = Bytes::from_static(br#"{ "count":1, "max_model_len":8, "tokens":[1] }"#);
        assert_eq!(tokens(full.clone()).unwrap().as_ptr(), full.as_ptr());
        for said in [r#"{"content":"Hi"}"#, r#"{"text":"Hi"}"#, r#"{"prompt":"Hi"}"#] {
            assert_eq!(text(Bytes::from_static(said.as_bytes())).unwrap(), r#"{"prompt":"Hi"}"#);
        }
        for wrong in ["", "{}", "7", r#"{"error":"no"}"#] {
            assert!(tokens(wrong.into()).is_err() && text(wrong.into()).is_err(), "{wrong}");
        }
    }
}
