//! What is counted, as Prometheus gets it.

use std::collections::HashMap;
use std::time::Duration;

use jairouter_tests::client::{RawClient, ask, get, post};
use jairouter_tests::gateway::{Gateway, UNPROBED, a_moment};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Send, Sleep};
use jairouter_tests::upstream::{Upstream, event_stream, json};
use jairouter_tests::{chat, token, until};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;

fn file(lines: &str, url: &str) -> String {
    format!(
        "server: {{ port: 0, log: {{ format: json }} }}\nmanagement: {{ server: {{ port: 0 }} }}\nmodel:\n\
         {UNPROBED}{lines}  services:\n    chat:\n      instances:\n        - {{ name: m, base-url: '{url}', \
         adapter: vllm, instance-id: one, concurrency: {{ limit: 2 }} }}\n"
    )
}

/// The values of a scrape, by their names and labels as they are written.
async fn scrape(gateway: &Gateway) -> HashMap<String, String> {
    let answer = ask(gateway.operators(), get("/metrics")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").is_some_and(|it| it.contains("version=0.0.4")));
    let text = answer.text();
    assert!(text.contains("# TYPE jairouter_build_info gauge\n"), "{text}");
    // What is asked for the newer format gets the same samples.
    let head = "GET /metrics HTTP/1.1\r\nhost: g\r\naccept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n\r\n";
    let newer = ask(gateway.operators(), head).await;
    assert!(newer.header("content-type").is_some_and(|it| it.contains("openmetrics")));
    assert!(newer.text().ends_with("# EOF\n"));
    let samples = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(samples(&newer.text()), samples(&text));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        let value: f64 = value.parse().expect("a number");
        (name.to_owned(), value.to_string())
    };
    lines.map(value).collect()
}

#[tokio::test]
async fn requests_attempts_and_errors_are_counted_by_what_came_of_them() {
    let stream = vec![
        event_stream(),
        Chunk(token("Hi").into()),
        Chunk("data: [DONE]\n\n".into()),
        LastChunk,
    ];
    let upstream = Upstream::serving(move |_, request| match request {
        _ if request.contains(r#""stream":true"#) => stream.clone(),
        _ if request.contains("fail") => vec![Send(json("500 No", "{}"))],
        _ => vec![Send(json("200 OK", ANSWER))],
    })
    .await;
    let limit = "  rate-limit: { enabled: true, capacity: 4, rate: 0.001 }\n";
    let gateway = Gateway::start_yaml(&file(limit, &upstream.url()));
    for (body, status) in [
        (chat("m", false), 200),
        (chat("m", true), 200),
        (chat("m", false).replace("hi", "fail"), 502),
        (chat("nobody's", false), 404),
        (chat("m", false), 429),
    ] {
        assert_eq!(ask(gateway.address(), post(CHAT, &body)).await.status, status, "{body}");
    }
    let seen = scrape(&gateway).await;
    let value = |name: &str| &**seen.get(name).unwrap_or_else(|| panic!("no {name} in {seen:#?}"));
    let requests = |status: u16| {
        value(&format!(
            r#"jairouter_requests_total{{service="chat",method="POST",status="{status}"}}"#
        ))
    };
    assert_eq!((requests(200), requests(502), requests(404)), ("2", "1", "1"));
    assert_eq!(value(r#"jairouter_request_duration_seconds_count{service="chat"}"#), "5");
    assert_eq!(value("jairouter_overhead_seconds_count"), "5");
    let seconds = |name: &str| value(name).parse::<f64>().unwrap();
    let all = r#"jairouter_request_duration_seconds_sum{service="chat"}"#;
    let own = seconds("jairouter_overhead_seconds_sum");
    assert!(own > 0.0 && own < seconds(all), "what is waited for is no work: {seen:#?}");
    for nothing in ["log_lines_dropped", "spans_exported", "spans_dropped"] {
        assert_eq!(value(&format!("jairouter_{nothing}_total")), "0");
    }
    assert_eq!(
        value(r#"jairouter_request_errors_total{service="chat",error="model_not_found"}"#),
        "1"
    );
    let calls = |status| {
        value(&format!(
            r#"jairouter_backend_calls_total{{adapter="vllm",instance="one",status="{status}"}}"#
        ))
    };
    assert_eq!((calls(200), calls(500)), ("2", "1"));
    let selections = r#"{service="chat",strategy="random",instance="one"}"#;
    assert_eq!(value(&format!("jairouter_loadbalancer_selections_total{selections}")), "3");
    let limits = |result| {
        let labels = format!(r#"service="chat",algorithm="token-bucket",result="{result}""#);
        value(&format!("jairouter_rate_limit_events_total{{{labels}}}"))
    };
    assert_eq!((limits("allowed"), limits("rejected")), ("4", "1"));
    let left = r#"{service="chat",place="chat",limit="the rate limit of the service 'chat'",algorithm="token-bucket"}"#;
    assert_eq!(value(&format!("jairouter_rate_limit_remaining{left}")), "0");
    let by_model = |name: &str, model: &str| {
        let labels = format!(r#"gen_ai_operation_name="chat",gen_ai_request_model="{model}""#);
        value(&format!("gen_ai_server_{name}_seconds_count{{{labels}}}"))
    };
    assert_eq!(by_model("request_duration", "m"), "4");
    assert_eq!(by_model("request_duration", "other"), "1", "whatever callers name");
    assert_eq!(by_model("time_to_first_token", "m"), "1", "of the stream alone");
    let tokens = |kind: &str| {
        let labels = format!(
            r#"gen_ai_operation_name="chat",gen_ai_request_model="m",gen_ai_token_type="{kind}""#
        );
        value(&format!("gen_ai_client_token_usage_sum{{{labels}}}"))
    };
    assert_eq!((tokens("input"), tokens("output")), ("7", "3"));
    assert!(!seen.keys().any(|name| name.contains("nobody")), "{seen:#?}");
}

#[tokio::test]
async fn what_is_now_is_looked_up_when_it_is_asked_for() {
    let slow = vec![Sleep(Duration::from_secs(60)), Send(json("200 OK", ANSWER))];
    let upstream = Upstream::serving(move |_, _| slow.clone()).await;
    let lines = "  concurrency: { queue: 5 }\n  circuit-breaker: { enabled: true }\n";
    let gateway = Gateway::start_yaml(&file(lines, &upstream.url()));
    let mut callers = Vec::new();
    for _ in 0..5 {
        let mut client = RawClient::connect(gateway.address()).await;
        client.send(post(CHAT, &chat("m", false))).await;
        callers.push(client);
    }
    until("it works on two", || upstream.live() == 2).await;
    a_moment().await;
    let labels = r#"{service="chat",adapter="vllm",instance="one"}"#;
    let seen = scrape(&gateway).await;
    assert_eq!(seen[&format!("jairouter_backend_in_flight{labels}")], "2");
    assert_eq!(seen[r#"jairouter_queue_waiting{service="chat",model="m"}"#], "3");
    assert_eq!(seen[&format!("jairouter_backend_health{labels}")], "1");
    assert_eq!(seen[&format!("jairouter_circuit_breaker_state{labels}")], "0");
    let opened =
        r#"jairouter_circuit_breaker_events_total{service="chat",instance="one",event="opened"}"#;
    assert_eq!(seen[opened], "0");
    let up =
        r#"jairouter_backend_status{service="chat",adapter="vllm",instance="one",status="up"}"#;
    assert_eq!((&*seen[up], &*seen[&up.replace("up\"", "down\"")]), ("1", "0"));
    drop(callers);
    until("nobody is served", || upstream.live() == 0).await;
    a_moment().await;
    let seen = scrape(&gateway).await;
    assert_eq!(seen[&format!("jairouter_backend_in_flight{labels}")], "0");
    let left = r#"jairouter_requests_total{service="chat",method="POST",status="499"}"#;
    assert_eq!(seen[left], "5");
    let abandoned =
        r#"jairouter_backend_calls_total{adapter="vllm",instance="one",status="abandoned"}"#;
    // One that waits may be asked while the others leave.
    assert!(seen[abandoned].parse::<u32>().unwrap() >= 2, "{}", seen[abandoned]);
}

#[tokio::test]
async fn probes_are_timed() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let lines = "  health-check: { interval: 300ms, timeout: 200ms }\n";
    let gateway = Gateway::start_yaml(&file("", &upstream.url()).replace(UNPROBED, lines));
    until("it is probed", || upstream.requests().len() >= 2).await;
    a_moment().await;
    let seen = scrape(&gateway).await;
    let counts = seen.iter().filter(|(name, count)| {
        name.starts_with("jairouter_health_check_duration_seconds_count{") && *count != "0"
    });
    assert_eq!(counts.count(), 1, "{seen:#?}");
}

#[tokio::test]
async fn a_reload_shows_and_what_was_counted_stays() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let good = file("", &upstream.url());
    let gateway = Gateway::start_yaml(&good);
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    let success = "jairouter_config_last_reload_success";
    let before = scrape(&gateway).await;
    assert_eq!(before[success], "1");
    gateway.write("model: {");
    gateway.logged("the configuration stays").await;
    let seen = scrape(&gateway).await;
    assert_eq!(seen[success], "0");
    assert_eq!(seen[r#"jairouter_config_reloads_total{result="refused"}"#], "1");
    gateway.write(&good);
    gateway.logged("the configuration is served again").await;
    let seen = scrape(&gateway).await;
    assert_eq!(seen[success], "1");
    let since = "jairouter_config_last_reload_success_timestamp_seconds";
    let since = |seen: &HashMap<String, String>| seen[since].parse::<f64>().unwrap();
    assert!(since(&seen) > since(&before));
    assert_eq!(seen[r#"jairouter_requests_total{service="chat",method="POST",status="200"}"#], "1");
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own_and_callers_do_not_see_it() {
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let gateway = Gateway::start_yaml(&file("", &upstream.url()));
    assert_eq!(ask(gateway.address(), get("/metrics")).await.status, 404);
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/", 200), (CHAT, 404)] {
        assert_eq!(ask(gateway.operators(), get(path)).await.status, status, "{path}");
    }
    assert_eq!(ask(gateway.operators(), post(CHAT, "{}")).await.status, 404);
}
