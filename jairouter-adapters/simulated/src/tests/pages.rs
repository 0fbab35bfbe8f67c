use http::Method;

use super::*;

async fn send(engine: &Engine, method: Method, path: &str, body: &'static str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Payload::from(body)).unwrap();
    engine.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn its_models_are_listed_as_simulated() {
    let engine: Engine = "simulated://x?models=a,org/b:1%2bc".parse().unwrap();
    let list = value(send(&engine, Method::GET, "/v1/models", "").await).await;
    assert_eq!(list["data"][0]["id"], "a");
    for path in ["/v1/models/org/b:1+c", "/v1/models/org%2Fb:1%2Bc"] {
        let card = value(send(&engine, Method::GET, path, "").await).await;
        assert_eq!(card, list["data"][1], "{path}");
        assert_eq!(card["owned_by"], "simulated", "{path}");
    }
    let absent = send(&engine, Method::GET, "/v1/models/c", "").await;
    assert_eq!(absent.status(), 404);
    assert_eq!(value(absent).await["error"]["code"], "model_not_found");
    assert_eq!(send(&engine, Method::GET, "/health", "").await.status(), 200);
    assert_eq!(engine.requests(), 0, "none of these is work");
}

#[tokio::test]
async fn another_path_is_404_and_another_method_405() {
    let engine = Engine::default();
    for (method, path, status) in [
        (Method::POST, "/v1/nothing", 404),
        (Method::GET, "/", 404),
        (Method::GET, "/v1/chat/completions/", 404),
        (Method::POST, "/v1/models", 405),
        (Method::DELETE, "/v1/models/simulated", 405),
        (Method::PUT, "/health", 405),
        (Method::GET, "/v1/chat/completions", 405),
        (Method::GET, "/v1/embeddings", 405),
    ] {
        let answer = send(&engine, method, path, "").await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{path}");
        assert_eq!(value(answer).await["error"]["type"], "invalid_request_error", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_the_json_of_a_request_is_400() {
    let engine = Engine::default();
    for path in [CHAT, "/v1/completions", "/v1/embeddings"] {
        for body in ["", "{", "[]", "{\"model\":1}", "{\"model\":\"a\",\"model\":\"b\"}"] {
            let answer = send(&engine, Method::POST, path, body).await;
            assert_eq!(answer.status(), 400, "{path} {body}");
            let error = &value(answer).await["error"];
            assert!(error["message"].is_string() && error.get("param").is_some(), "{error}");
        }
    }
    assert_eq!(engine.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_field_is_named() {
    let engine = Engine::default();
    for (more, param) in [
        (json!({"messages": null}), "messages"),
        (json!({"messages": []}), "messages"),
        (json!({"n": 0}), "n"),
        (json!({"n": 17}), "n"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"tool_choice": {"type": "function", "function": {"name": "f"}}}), "tool_choice"),
    ] {
        let answer = chat(&engine, &more).await.unwrap();
        assert_eq!(answer.status(), 400, "{more}");
        assert_eq!(value(answer).await["error"]["param"], param, "{more}");
    }
    for (path, ask, param) in [
        ("/v1/completions", json!({"model": "m"}), "prompt"),
        ("/v1/completions", json!({"model": "m", "prompt": {}}), "prompt"),
        ("/v1/completions", json!({"model": "m", "prompt": vec!["x"; 9], "n": 15}), "prompt"),
        ("/v1/embeddings", json!({"input": "x"}), "model"),
        ("/v1/embeddings", json!({"model": "m"}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": 7}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": []}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": ["x", {}]}), "input"),
        ("/v1/embeddings", json!({"model": "m", "input": "x", "dimensions": 0}), "dimensions"),
    ] {
        let answer = post(&engine, path, &ask).await.unwrap();
        assert_eq!(answer.status(), 400, "{ask}");
        assert_eq!(value(answer).await["error"]["param"], param, "{ask}");
    }
    assert_eq!(engine.running(), 0);
}
