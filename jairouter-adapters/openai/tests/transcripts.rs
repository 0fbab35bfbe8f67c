//! Streams of transcripts.
#![cfg(test)]

use futures::executor::block_on;
use http::Response;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use jairouter_core::{Body, Error};
use jairouter_openai::transcript;

fn told(kind: &str, text: &str) -> Result<String, Error> {
    let body = Body::from(text.to_owned());
    let answer = Response::builder().header(CONTENT_TYPE, kind).body(body).unwrap();
    let bytes = block_on(transcript::decode(answer).into_body().collect())?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn chunk(content: &str) -> String {
    let choices = format!(r#"[{{"delta":{{"content":"{content}"}},"finish_reason":null}}]"#);
    format!("data: {{\"object\":\"transcription.chunk\",\"choices\":{choices}}}\n\n")
}

#[test]
fn chunks_become_openai_s_events_and_the_last_has_all_of_the_text() {
    let usage = "data: {\"object\":\"transcription.chunk\",\"choices\":[],\
        \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2,\"total_tokens\":5}}\n\n";
    let text = [&*chunk("Hi"), &chunk(""), &chunk(" \\u0041."), usage, "data: [DONE]\n\n"].concat();
    assert_eq!(
        told("text/event-stream", &text).unwrap(),
        "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\n\
         data: {\"type\":\"transcript.text.delta\",\"delta\":\" A.\"}\n\n\
         data: {\"type\":\"transcript.text.done\",\"text\":\"Hi A.\",\"usage\":{\"input_tokens\":3,\
         \"output_tokens\":2,\"total_tokens\":5,\"type\":\"tokens\"}}\n\n"
    );
}

#[test]
fn what_is_in_openai_s_words_passes() {
    let events = "event: transcript.text.delta\r\ndata: {\"type\":\"transcript.text.delta\"}\r\n\r\n\
        data: {\"type\":\"transcript.text.done\",\"text\":\"an \\\"error\\\"\"}\n\ndata: [DONE]\n\n";
    assert_eq!(told("text/event-stream", events).unwrap(), events);
    let whole = r#"{ "text":"transcription.chunk \"error\" [DONE]" }"#;
    assert_eq!(told("application/json", whole).unwrap(), whole);
}

#[test]
fn a_transcript_that_breaks_off_is_an_error() {
    let half = chunk("Hi");
    for end in ["", "data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n", "data: {\"obj"] {
        assert!(told("text/event-stream", &format!("{half}{end}")).is_err(), "{end}");
    }
    assert!(told("text/event-stream", "data: \"transcription.chunk\"\n\n").is_err());
}
