//! Whether an answer that came to its end is one worth keeping.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::translate::{Events, Message};

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Typed<'a> {
    r#type: &'a str,
}

/// Whether these bytes are a whole answer, and none of their parts is an error. Engines end a stream
/// of which they have reported the failure as properly as any other.
pub(super) fn is_good(endpoint: Endpoint, headers: &HeaderMap, body: &[u8]) -> bool {
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let media_type = value[..end].trim_ascii();
    if media_type.eq_ignore_ascii_case(b"text/event-stream") {
        stream_is_good(body, endpoint)
    } else if media_type.eq_ignore_ascii_case(b"application/json") {
        // Parsed in full, so that half of an object is none.
        match serde_json::from_slice::<Answer<'_>>(body) {
            Ok(answer) => !answer.is_error(),
            // A list, or a text: an object that is cut off is neither.
            Err(_) => serde_json::from_slice::<Vec<&RawValue>>(body).is_ok(),
        }
    } else {
        true
    }
}

fn stream_is_good(body: &[u8], endpoint: Endpoint) -> bool {
    let mut done = false;
    let read = Events::default().push(body, |message| {
        done = match endpoint {
            Endpoint::ChatCompletions | Endpoint::Completions => {
                message.data.trim_ascii() == b"[DONE]"
            }
            Endpoint::Messages => {
                let event = serde_json::from_slice::<Typed<'_>>(message.data);
                event.is_ok_and(|event| event.r#type == "message_stop")
            }
            _ => true,
        };
        if is_error(message) { Err(Error::new(Kind::Broken, "an error event")) } else { Ok(()) }
    });
    read.is_ok() && done
}

fn is_error(message: Message<'_>) -> bool {
    if message.name == b"error" {
        return true;
    }
    // In text that a model writes the quotes are escaped, so this hardly ever finds one.
    memchr::memmem::find(message.data, b"\"error\"").is_some()
        && serde_json::from_slice::<Answer<'_>>(message.data).is_ok_and(|chunk| chunk.is_error())
}

impl Answer<'_> {
    fn is_error(&self) -> bool {
        self.error.is_some_and(|error| error.get() != "null")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(endpoint: Endpoint, content_type: &'static str, body: &str) -> bool {
        let headers = [(CONTENT_TYPE, HeaderValue::from_static(content_type))];
        is_good(endpoint, &headers.into_iter().collect(), body.as_bytes())
    }

    #[test]
    fn a_stream_is_good_to_its_done_and_without_an_error() {
        let chat = Endpoint::ChatCompletions;
        for (stream, expected) in [
            ("data: {}\n\ndata: [DONE]\n\n", true),
            ("data: {\"error\":null}\r\n\r\ndata: [DONE]\r\n\r\n", true),
            ("data: {\"x\":\"\\\"error\\\"\"}\n\ndata: [DONE]\n\n", true),
            ("data: {\"x\":{\"error\":\"said the model\"}}\n\ndata: [DONE]\n\n", true),
            ("data: {}\n\n", false),
            ("data: {}\n\ndata: [DONE]", false),
            ("data: [DONE]\n\ndata: {}\n\n", false),
            ("data: {\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n", false),
            ("data: {\"error\":\"x\"}\n\ndata: [DONE]\n\n", false),
            ("event: error\ndata: x\n\ndata: [DONE]\n\n", false),
            ("", false),
        ] {
            let content_type = "text/event-stream; charset=utf-8";
            assert_eq!(good(chat, content_type, stream), expected, "{stream:?}");
        }
        assert!(good(Endpoint::Speech, "text/event-stream", "data: {}\n\n"), "it has no [DONE]");
    }

    #[test]
    fn json_is_good_if_it_is_json_and_no_error() {
        for (body, expected) in [
            ("{\"choices\":[]}", true),
            ("{\"error\":null}", true),
            ("[1,2]", true),
            ("{\"error\":\"x\"}", false),
            ("{\"choices\":[", false),
            ("[1,", false),
            ("", false),
        ] {
            let good = good(Endpoint::Rerank, "application/json", body);
            assert_eq!(good, expected, "{body:?}");
        }
        assert!(good(Endpoint::Speech, "audio/mpeg", "anything"));
    }
}
