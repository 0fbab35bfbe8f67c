//! What TGI answers that no exchange shows.
#![cfg(test)]

use futures::executor::block_on;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use jairouter_core::{Backend, Body, Endpoint, Error, InferenceRequest, Kind, envelope};
use jairouter_tgi::Tgi;
use serde_json::{Value, json};

fn told(endpoint: Endpoint, asked: &Value, answer: &str) -> (String, Option<Error>) {
    let payload = asked.to_string().into();
    let request = InferenceRequest::new(endpoint, HeaderMap::new(), payload).unwrap();
    let kind = if request.stream { "text/event-stream" } else { "application/json" };
    let answer = Response::builder()
        .header(CONTENT_TYPE, kind)
        .header("x-prompt-tokens", "3")
        .body(Body::from(answer.to_owned()))
        .unwrap();
    let mut body = Tgi::new().decode(&request, answer).into_body();
    let (mut bytes, mut error) = (Vec::new(), None);
    while let Some(frame) = block_on(body.frame()) {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(told) => error = Some(told),
        }
    }
    (String::from_utf8(bytes).unwrap(), error)
}

fn completion(stream: bool, answer: &str) -> (String, Option<Error>) {
    let asked = json!({"model": "m", "prompt": "p", "stop": ["END"], "stream": stream});
    told(Endpoint::Completions, &asked, answer)
}

fn chat(answer: &str) -> (String, Option<Error>) {
    let asked = json!({"model": "m", "messages": [], "stop": "END", "stream": true});
    told(Endpoint::ChatCompletions, &asked, answer)
}

#[test]
fn a_whole_completion_has_no_stop_text_and_its_prompt_is_counted_in_a_header() {
    let details = json!({"finish_reason": "stop_sequence", "generated_tokens": 2});
    let answer = json!({"generated_text": "a END", "details": details}).to_string();
    let (text, error) = completion(false, &answer);
    let told: Value = serde_json::from_str(&text).unwrap();
    assert!(error.is_none());
    assert_eq!(told["choices"][0]["text"], "a ");
    assert_eq!(told["choices"][0]["finish_reason"], "stop");
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5});
    assert_eq!(told["usage"], usage);
    for wrong in ["", "{}", "[]", r#"{"generated_text":"a"}"#, r#"{"details":{}}"#] {
        assert_eq!(completion(false, wrong).1.unwrap().kind(), Kind::Broken, "{wrong}");
    }
}

#[test]
fn an_error_in_a_200_has_the_status_that_it_would_have_had() {
    for (error_type, kind, status) in [
        ("validation", Kind::Rejected, 400),
        ("tool_error", Kind::Rejected, 400),
        ("template_error", Kind::Rejected, 400),
        ("overloaded", Kind::Busy, 429),
        ("generation", Kind::Failed, 502),
        ("incomplete_generation", Kind::Failed, 502),
        ("unknown", Kind::Failed, 502),
    ] {
        let error = json!({"error": "no", "error_type": error_type}).to_string();
        let half = "data: {\"token\":{\"text\":\"a\"}}\n\n";
        let mid = completion(true, &format!("{half}data: {error}\n\n"));
        for (told, told_error) in
            [completion(true, &format!("data: {error}\n\n")), completion(false, &error), mid]
        {
            let told_error = told_error.unwrap();
            assert_eq!((told_error.kind(), told_error.status().as_u16()), (kind, status));
            let said: Value = serde_json::from_slice(&envelope::body(&told_error)).unwrap();
            assert_eq!(said["error"]["message"], "no", "{error_type}");
            assert!(!told.contains("[DONE]") && !told.contains("finish_reason\":\""), "{told}");
        }
    }
    let event =
        "data: {\"error\":{\"message\":\"no\",\"http_status_code\":422}}\n\ndata: [DONE]\n\n";
    let (told, error) = chat(event);
    let error = error.unwrap();
    assert_eq!((told.as_str(), error.kind(), error.status().as_u16()), ("", Kind::Rejected, 400));
    for odd in [r#"{"error":7}"#, r#"{"error":{"message":"no","http_status_code":200}}"#] {
        assert!(chat(&format!("data: {odd}\n\n")).1.is_some(), "{odd}");
    }
}

#[test]
fn a_stream_without_its_details_is_cut_off() {
    let half = "data: {\"token\":{\"text\":\"a\",\"special\":false}}\n\n";
    for text in ["", half, &format!("{half}data: {{\"tok")] {
        assert_eq!(completion(true, text).1.unwrap().kind(), Kind::Broken, "{text}");
    }
    let end = "data: {\"token\":{\"text\":\"</s>\",\"special\":true},\"details\":\
        {\"finish_reason\":\"length\",\"generated_tokens\":1}}\n\n";
    let (told, error) = completion(true, &format!("{half}{end}{half}"));
    assert!(error.is_none() && told.ends_with("data: [DONE]\n\n"), "{told}");
    assert!(told.contains(r#""finish_reason":"length""#) && !told.contains("</s>"), "{told}");
    assert!(!told.contains("usage"), "nobody asked: {told}");
}

#[test]
fn a_chat_has_one_id_one_role_and_no_stop_text() {
    let event = |content: &str, reason: Option<&str>| {
        let delta = json!({"role": "assistant", "content": content});
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "", "choices": [choice]}))
    };
    let text = event("a E", None) + &event("ND", Some("stop_sequence")) + "data: [DONE]\n\n";
    let (told, error) = chat(&text);
    assert!(error.is_none());
    let events = told.split("\n\n").filter_map(|event| event.strip_prefix("data: {"));
    let chunks: Vec<Value> =
        events.map(|event| serde_json::from_str(&format!("{{{event}")).unwrap()).collect();
    let delta = |at: usize| &chunks[at]["choices"][0]["delta"];
    assert_eq!(delta(0), &json!({"role": "assistant", "content": "a "}));
    assert_eq!(delta(1), &json!({"content": ""}));
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "stop");
    assert!(chunks[0]["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert_eq!(chunks[0]["id"], chunks[1]["id"]);
    assert!(chat(&event("a", Some("stop"))).1.is_some(), "without [DONE] it is cut off");
}

#[test]
fn a_chat_s_tools_and_pictures_reach_it_and_its_calls_come_back() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let picture = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}});
    let mut asked = json!({"model": "m", "tools": tools,
        "messages": [{"role": "user", "content": [picture]}]});
    let request = InferenceRequest::new(
        Endpoint::ChatCompletions,
        HeaderMap::new(),
        asked.to_string().into(),
    );
    let sent: Value =
        serde_json::from_slice(&Tgi::new().encode(&request.unwrap()).unwrap()).unwrap();
    assert_eq!((&sent["tools"], &sent["messages"]), (&asked["tools"], &asked["messages"]));

    let call = json!({"id": "0", "type": "function",
        "function": {"name": "f", "arguments": "{\"x\":1}"}});
    let message = json!({"role": "assistant", "tool_calls": [call]});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    let usage = json!({"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3});
    let answer = json!({"id": "", "choices": [choice], "usage": usage});
    let (text, error) = told(Endpoint::ChatCompletions, &asked, &answer.to_string());
    let whole: Value = serde_json::from_str(&text).unwrap();
    assert!(error.is_none());
    let called = &whole["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(called["function"], call["function"]);
    assert_eq!(
        (&whole["choices"][0]["finish_reason"], &whole["usage"]),
        (&json!("tool_calls"), &usage)
    );

    let mut first = call.clone();
    first["index"] = json!(0);
    let delta = |delta: Value, reason: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
        format!("data: {}\n\n", json!({"id": "", "choices": [choice]}))
    };
    let last = format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [], "usage": usage}));
    let events = delta(json!({"role": "assistant", "tool_calls": [first]}), Value::Null)
        + &delta(json!({"role": "assistant", "content": ""}), json!("stop"))
        + &last;
    asked["stream"] = json!(true);
    asked["stream_options"] = json!({"include_usage": true});
    let (text, error) = told(Endpoint::ChatCompletions, &asked, &events);
    assert!(error.is_none() && text.ends_with("data: [DONE]\n\n"), "{text}");
    assert!(text.contains(r#""name":"f""#) && text.contains(r#""total_tokens":3"#), "{text}");
    assert!(text.contains(r#""finish_reason":"tool_calls""#), "{text}");
}

#[test]
fn tokens_are_told_in_vllm_s_form() {
    let asked = json!({"model": "m", "prompt": "Hi"});
    let said = r#"[{"id":1,"text":"H","start":0,"stop":1},{"id":2,"text":"i","start":1,"stop":2}]"#;
    let (text, error) = told(Endpoint::Tokenize, &asked, said);
    assert!(error.is_none());
    assert_eq!(text, r#"{"count":2,"max_model_len":null,"tokens":[1,2]}"#);
}
