//! What passes through the program passes to the byte, both ways.

use jairouter_tests::chat;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send};
use jairouter_tests::upstream::{Seen, Upstream, event_stream, json};

const CHAT: &str = "/v1/chat/completions";

/// What a careless proxy loses: order, spaces, unknown fields, numbers no float holds, escapes.
const ODD: &str = r#" { "temperature" : -0 , "seed":18446744073709551616,"top_p":1e999,
	"logit_bias":{"1":0.1000000000000000055511151231257827021181583404541015625},
	"messages":[{"role":"user","content":[{"type":"text","text":"h\u00e9 \ud83d\ude00 é\/"},
	{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}],
	"tools":[{"type":"function","function":{"name":"f","parameters":{"model":"inner","b":1,"a":2}}}],
	"response_format":{"type":"json_schema","json_schema":{"strict":true}},
	"stream_options":{"include_usage":true},"chat_template_kwargs":{"enable_thinking":false},
	"x_vendor":null,"x_vendor":[[],{}], "model":"m" ,"stop":["\n","\u0000"]}  "#;

fn arrived(upstream: &Upstream) -> (String, String) {
    let request = upstream.requests().pop().expect("it arrived");
    let (head, body) = request.split_once("\r\n\r\n").expect("it has a head");
    (head.to_owned(), body.to_owned())
}

// fault: B14
#[tokio::test]
async fn a_request_arrives_as_it_was_written() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let gateway = Gateway::start(&[upstream.url()]);
    for path in [CHAT, "/v1/completions", "/api/v1/chat/completions"] {
        assert_eq!(ask(gateway.address(), post(path, ODD)).await.status, 200, "{path}");
        let (head, body) = arrived(&upstream);
        assert_eq!(body, ODD, "{path}");
        let own = path.strip_prefix("/api").unwrap_or(path);
        assert!(head.starts_with(&format!("POST {own} HTTP/1.1\r\n")), "{head}");
    }
}

#[tokio::test]
async fn another_name_of_the_model_is_the_only_thing_changed() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let instance = |name: &str| {
        format!(
            "  services:\n    chat:\n      instances:\n\
             {:8}- {{ name: m, model: '{name}', base-url: '{}' }}\n",
            "",
            upstream.url()
        )
    };
    for name in ["Qwen/Qwen3-4B", "x", "q\"\\/é"] {
        let gateway = Gateway::start_with("", &instance(name));
        for written in [r#""model":"m""#, r#""\u006dodel" : "\u006d""#] {
            let request = ODD.replace(r#""model":"m""#, written);
            assert_eq!(ask(gateway.address(), post(CHAT, &request)).await.status, 200);
            let name = serde_json::to_string(name).unwrap();
            let (key, _) = written.rsplit_once('"').unwrap().0.rsplit_once('"').unwrap();
            let expected = ODD.replace(r#""model":"m""#, &format!("{key}{name}"));
            assert_eq!(arrived(&upstream).1, expected);
        }
    }
}

/// Chunks would cost each caller more, and some do not take them for an answer in one piece.
#[tokio::test]
async fn an_answer_that_its_adapter_looked_through_has_its_length() {
    for body in [r#"{"id":"a","choices":[]}"#, r#"{"choices":[{"message":{"reasoning":"2+2"}}]}"#] {
        let upstream = Upstream::answering(json("200 OK", body)).await;
        let gateway = Gateway::start_with("", &model("  adapter: vllm\n", &[upstream.url()]));
        let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
        let length = answer.text().len().to_string();
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{answer:?}");
        assert!(answer.text().contains("choices"));
    }
}

#[tokio::test]
async fn an_answer_comes_back_as_it_was_written() {
    let gateway = |upstream: &Upstream| Gateway::start(&[upstream.url()]);
    for body in ["{}", ODD, "", "not json", "\u{0}\u{1}"] {
        let upstream = Upstream::answering(json("200 OK", body)).await;
        let answer = ask(gateway(&upstream).address(), post(CHAT, &chat("m", false))).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, body));
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(answer.complete);
    }
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: {}\r\n\r\n",
        bytes.len()
    );
    let upstream = Upstream::answering([head.as_bytes(), &bytes].concat()).await;
    let services = format!(
        "  services:\n    tts:\n      instances:\n        - {{ name: m, base-url: '{}' }}\n",
        upstream.url()
    );
    let gateway = Gateway::start_with("", &services);
    let answer = ask(gateway.address(), post("/v1/audio/speech", &chat("m", false))).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("audio/mpeg")));
    assert!(answer.body == bytes, "{} bytes", answer.body.len());
}

#[tokio::test]
async fn a_multipart_request_arrives_to_the_byte_and_with_the_other_name() {
    let upstream = Upstream::answering(json("200 OK", r#"{"text":"hi"}"#)).await;
    let form = |model: &str| {
        let mut form = b"preamble\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; \
            filename=\"a.wav\"\r\ncontent-type: audio/wav\r\n\r\n"
            .to_vec();
        form.extend(0..=255);
        let rest = format!(
            "\r\n--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n--b--\r\nend"
        );
        form.extend(rest.as_bytes());
        form
    };
    for own in ["m", "whisper-large-v3"] {
        let services = format!(
            "  services:\n    stt:\n      instances:\n\
             {:8}- {{ name: m, model: '{own}', base-url: '{}' }}\n",
            "",
            upstream.url()
        );
        let gateway = Gateway::start_with("", &services);
        let body = form("m");
        let head = format!(
            "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: g\r\n\
             content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let answer = ask(gateway.address(), [head.as_bytes(), &body].concat()).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, r#"{"text":"hi"}"#));
        let (head, _) = arrived(&upstream);
        assert!(head.contains("content-type: multipart/form-data; boundary=b"), "{head}");
        let mut seen = upstream.seen().into_iter().rev();
        let request = seen.find_map(|seen| match seen {
            Seen::Request(bytes) => Some(bytes),
            _ => None,
        });
        let request = request.expect("it arrived");
        assert!(request.ends_with(&form(own)), "{}", String::from_utf8_lossy(&request));
    }
}

#[tokio::test]
async fn models_are_listed_and_found_under_both_roots() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let services = format!(
        "  services:\n    chat:\n      instances:\n        - {{ name: b/c, base-url: '{0}' }}\n\
         {1:8}- {{ name: a, base-url: '{0}' }}\n",
        upstream.url(),
        ""
    );
    let gateway = Gateway::start_with("", &services);
    let mut client = RawClient::connect(gateway.address()).await;
    let mut get = async |path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nhost: g\r\n\r\n")).await;
        let answer = client.answer().await;
        (answer.status, serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap())
    };
    for root in ["/v1", "/api/v1"] {
        let (status, list) = get(&format!("{root}/models")).await;
        let ids: Vec<&serde_json::Value> =
            list["data"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
        assert_eq!((status, ids), (200, vec![&"a".into(), &"b/c".into()]));
        for (name, id) in [("a", "a"), ("b/c", "b/c"), ("b%2Fc", "b/c")] {
            let (status, card) = get(&format!("{root}/models/{name}")).await;
            assert_eq!((status, card["id"].as_str()), (200, Some(id)), "{name}");
        }
        let (status, refusal) = get(&format!("{root}/models/other")).await;
        assert_eq!((status, refusal["error"]["code"].as_str()), (404, Some("model_not_found")));
    }
    assert_eq!(upstream.seen(), []);
}

#[tokio::test]
async fn callers_of_http_1_0_are_answered_and_their_connection_ends() {
    let stream = vec![event_stream(), Chunk(b"data: [DONE]\n\n".to_vec()), LastChunk];
    let upstream = Upstream::serving(move |number, _| match number {
        0 => vec![Send(json("200 OK", "{}"))],
        _ => stream.clone(),
    })
    .await;
    let gateway = Gateway::start(&[upstream.url()]);
    for (stream, body) in [(false, "{}"), (true, "data: [DONE]\n\n")] {
        let request = post(CHAT, &chat("m", stream)).replace("HTTP/1.1", "HTTP/1.0");
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(request.replace("host: gateway\r\n", "")).await;
        let answer = String::from_utf8(client.closed().await).unwrap();
        let (head, rest) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200") && !head.contains("transfer-encoding"), "{head}");
        assert_eq!(rest, body);
    }
}
