//! Whom the API hears.

use super::*;

// fault: A10 A11
#[tokio::test]
async fn nobody_is_heard_without_the_token_where_there_is_one_and_no_page_where_there_is_none() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file(&format!(", token: {TOKEN}"), &[one.url()]));
    let paths = [
        "/api/models",
        "/api/status",
        "/api/config/version/1",
        "/api/status/events",
        "/api/nothing",
    ];
    for path in paths {
        for headers in [
            String::new(),
            "authorization: Bearer wrong-token-0123\r\n".to_owned(),
            format!("authorization: Basic {TOKEN}\r\n"),
            format!("authorization: Bearer {TOKEN}\r\nauthorization: Bearer {TOKEN}\r\n"),
        ] {
            let answer = raw(&gateway, "GET", path, "", &headers).await;
            let is_refused =
                answer.status == 401 || (path == "/api/nothing" && answer.status == 404);
            assert!(is_refused && !answer.text().contains("canary"), "{path} {}", answer.text());
        }
    }
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &bearer).await.0, 200);
    let key = format!("x-api-key: {TOKEN}\r\n");
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &key).await.0, 200);
    // It is another one with the next configuration, at once.
    let other = file(", token: another-token-0123", &[one.url()]);
    gateway.write(&other);
    let reload = call_with(&gateway, "POST", "/api/config/reload", "", &bearer).await;
    assert_eq!((reload.0, reload.1["data"]["needsRestart"].clone()), (200, value!([])));
    assert_eq!(call_with(&gateway, "GET", "/api/models", "", &bearer).await.0, 401);
    // Who is let in by it is let in nowhere else, and no caller's path leads here.
    for path in ["/api/models", "/api/config/version", "//api/models", "/v1/../api/models", "/"] {
        let answer =
            ask(gateway.address(), format!("GET {path} HTTP/1.1\r\nhost: g\r\n{bearer}\r\n"));
        assert_eq!(answer.await.status, 404, "{path}");
    }

    let open = Gateway::start_yaml(&file("", &[one.url()]));
    for (headers, status) in [
        ("origin: http://127.0.0.1\r\n", 200),
        ("origin: http://evil.example\r\n", 403),
        ("origin: null\r\n", 403),
    ] {
        let path = "/api/config/instance/circuit-breaker/reset";
        assert_eq!(call_with(&open, "POST", path, "", headers).await.0, status, "{headers}");
    }
    let rebound = "GET /api/models HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(ask(open.operators(), rebound).await.status, 403);
    assert!(!raw(&open, "GET", "/api/models", "", "").await.head.contains("access-control"));
}

#[tokio::test]
async fn off_this_machine_nobody_is_heard_until_there_is_a_token() {
    let one = engine().await;
    let gateway = Gateway::start_yaml(&file(", address: 0.0.0.0", &[one.url()]));
    assert_eq!(call(&gateway, "GET", "/api/models", "").await.0, 403);
    assert_eq!(raw(&gateway, "GET", "/metrics", "", "").await.status, 200);
    gateway.logged("operators' API is closed").await;
    gateway.write(&file(&format!(", address: 0.0.0.0, token: {TOKEN}"), &[one.url()]));
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    let heard =
        async { while raw(&gateway, "GET", "/api/models", "", &bearer).await.status != 200 {} };
    timeout(PATIENCE, heard).await.expect("who has the token is heard");
    assert!(!gateway.log().contains(TOKEN));
}
