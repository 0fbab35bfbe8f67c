//! Spans, as a collector gets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jairouter_tests::client::{RawClient, ask, get, post};
use jairouter_tests::collector::{Collector, Span, attribute, hex, is_client, is_server, lasted};
use jairouter_tests::gateway::{Gateway, UNPROBED, a_moment};
use jairouter_tests::tls::{Authority, Manner, Secured};
use jairouter_tests::upstream::Step::{Chunk, LastChunk, Rst, Send, Sleep, Stall};
use jairouter_tests::upstream::{Upstream, closed_port, event_stream, json};
use jairouter_tests::{PATIENCE, chat, token, until};

const CHAT: &str = "/v1/chat/completions";
const ANSWER: &str = r#"{"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}"#;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Instances `i0`, `i1`, … of a model, asked in this order, and spans for this collector.
fn file(tracing: &str, collector: &str, urls: &[String]) -> String {
    let instance =
        |(nth, url)| format!("        - {{ name: m, base-url: '{url}', instance-id: i{nth} }}\n");
    let instances: String = urls.iter().enumerate().map(instance).collect();
    format!(
        "server: {{ port: 0, log: {{ format: json }} }}\nmanagement: {{ server: {{ port: 0 }} }}\n\
         tracing: {{ {tracing} otlp: {{ endpoint: '{collector}', timeout: 1s }} }}\nmodel:\n{UNPROBED}  \
         load-balance: {{ type: round-robin }}\n  services:\n    chat:\n      instances:\n{instances}"
    )
}

fn started(collector: &Collector, upstreams: &[&Upstream]) -> Gateway {
    let urls: Vec<_> = upstreams.iter().map(|upstream| upstream.url()).collect();
    Gateway::start_yaml(&file("", &collector.url(), &urls))
}

fn traced(body: &str, flags: &str) -> String {
    let parent = format!("traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n\r\n");
    post(CHAT, body).replacen("\r\n\r\n", &format!("\r\n{parent}"), 1)
}

/// The one span of its kind.
fn only(spans: &[Span], kind: fn(&Span) -> bool) -> Span {
    let mut found = spans.iter().filter(|span| kind(span));
    let (Some(span), None) = (found.next(), found.next()) else { panic!("not one: {spans:#?}") };
    span.clone()
}

#[tokio::test]
async fn an_answer_is_a_span_with_one_below_it_for_the_instance_in_the_caller_s_trace() {
    let collector = Collector::start().await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let gateway = started(&collector, &[&upstream]);
    let answer = ask(gateway.address(), traced(&chat("m", false), "01")).await;
    assert_eq!(answer.status, 200);
    let spans = collector.told(1).await;
    let (server, client) = (only(&spans, is_server), only(&spans, is_client));
    assert_eq!((hex(&server.trace_id), hex(&client.trace_id)), (TRACE.into(), TRACE.into()));
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(client.parent_span_id, server.span_id);
    assert_eq!((server.flags, client.flags), (0x301, 0x101));
    assert_eq!((&*server.name, &*client.name), ("chat m", "chat m"));
    assert!(server.status.is_none() && client.status.is_none());
    assert!(server.start_time_unix_nano <= client.start_time_unix_nano);
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.usage.input_tokens", "7"),
        ("gen_ai.usage.output_tokens", "3"),
        ("http.response.status_code", "200"),
        ("jairouter.instance", "i0"),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(&server, key), value, "{key}");
    }
    let port = upstream.address().port().to_string();
    for (key, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "m"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("http.response.status_code", "200"),
        ("jairouter.instance", "i0"),
        ("error.type", ""),
    ] {
        assert_eq!(attribute(&client, key), value, "{key}");
    }
    // The instance was told the attempt's span as its parent, and the log names the trace.
    let sent = upstream.requests().remove(0);
    let parent = format!("traceparent: 00-{TRACE}-{}-01\r\n", hex(&client.span_id));
    assert!(sent.contains(&parent), "{sent}");
    gateway.logged(&format!(r#""trace_id":"{TRACE}""#)).await;
    let head = collector.heads().remove(0);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf"), "{head}");
    let resource = collector.batches()[0][0].resource.clone().unwrap();
    let names: Vec<_> = resource.attributes.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(names, ["service.name", "service.version"]);
}

#[tokio::test]
async fn a_stream_lasts_to_its_end_and_tells_when_its_first_token_came() {
    let pause = Duration::from_millis(150);
    let script = vec![
        event_stream(),
        Sleep(pause),
        Chunk(token("a").into()),
        Sleep(pause),
        Chunk("data: [DONE]\n\n".into()),
        LastChunk,
    ];
    let collector = Collector::start().await;
    let upstream = Upstream::serving(move |_, _| script.clone()).await;
    let gateway = started(&collector, &[&upstream]);
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", true))).await.status, 200);
    let spans = collector.told(1).await;
    let (server, client) = (only(&spans, is_server), only(&spans, is_client));
    assert!(lasted(&server) >= 300 && lasted(&client) >= 300, "{spans:#?}");
    let first = &server.events[0];
    assert_eq!(first.name, "gen_ai.first_token");
    let after = (first.time_unix_nano - server.start_time_unix_nano) / 1_000_000;
    let rest = (server.end_time_unix_nano - first.time_unix_nano) / 1_000_000;
    assert!(after >= 150 && rest >= 149, "{after} ms, and {rest} ms");
    assert!(server.parent_span_id.is_empty() && server.flags == 0x101, "it has begun here");
}

#[tokio::test]
async fn each_instance_that_was_asked_is_a_span_and_the_one_that_failed_says_how() {
    let collector = Collector::start().await;
    let failing = Upstream::answering(json("500 Oops", "{}")).await;
    let well = Upstream::answering(json("200 OK", ANSWER)).await;
    let gateway = started(&collector, &[&failing, &well]);
    assert_eq!(ask(gateway.address(), post(CHAT, &chat("m", false))).await.status, 200);
    let spans = collector.told(1).await;
    let server = only(&spans, is_server);
    let clients: Vec<_> = spans.iter().filter(|span| is_client(span)).collect();
    let told = |key| clients.iter().map(|span| attribute(span, key)).collect::<Vec<_>>();
    assert_eq!(told("jairouter.instance"), ["i0", "i1"]);
    assert_eq!(told("http.response.status_code"), ["500", "200"]);
    assert_eq!(told("error.type"), ["upstream_broken", ""]);
    assert_eq!((clients[0].status.as_ref().unwrap().code, clients[1].status.is_none()), (2, true));
    assert!(server.status.is_none() && attribute(&server, "jairouter.instance") == "i1");
    assert!(clients[0].end_time_unix_nano <= clients[1].start_time_unix_nano);
    // The lines about the attempts are of the same trace, and of the same request.
    let log = gateway.logged("an instance was asked in vain").await;
    let line = log.lines().find(|line| line.contains("asked in vain")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["trace_id"], hex(&server.trace_id));
    assert_eq!((&line["instance"], &line["error"]), (&"i0".into(), &"upstream_broken".into()));
    assert_eq!(line["request_id"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn what_was_refused_broke_off_or_was_not_waited_for_is_told_as_that() {
    let collector = Collector::start().await;
    let upstream = Upstream::serving(|number, _| match number {
        0 => vec![event_stream(), Chunk(token("a").into()), Rst],
        1 => vec![Stall],
        _ => vec![Send(json("400 Bad", r#"{"error":{"message":"no"}}"#))],
    })
    .await;
    let gateway = started(&collector, &[&upstream]);
    let statuses = |spans: &[Span]| {
        let (server, client) = (only(spans, is_server), spans.iter().find(|span| is_client(span)));
        let both = [Some(&server), client].map(|span| {
            let status = span.and_then(|span| span.status.as_ref()).map_or(0, |status| status.code);
            (span.map(|span| attribute(span, "error.type")).unwrap_or_default(), status)
        });
        (attribute(&server, "http.response.status_code"), both)
    };
    let told = async |before: usize, requests: usize| {
        let spans = collector.told(requests).await;
        let (status, [server, client]) = statuses(&spans[before..]);
        (spans.len(), (status, server, client))
    };
    let none = || (String::new(), 0);

    ask(gateway.address(), post(CHAT, &chat("m", true))).await;
    let (before, broken) = told(0, 1).await;
    let upstream_broken = || ("upstream_broken".into(), 2);
    assert_eq!(broken, ("200".into(), upstream_broken(), upstream_broken()));

    let mut client = RawClient::connect(gateway.address()).await;
    client.post(CHAT, &chat("m", true)).await;
    until("it was asked", || upstream.requests().len() == 2).await;
    drop(client);
    let (before, left) = told(before, 2).await;
    let cancelled = || ("client_cancelled".into(), 0);
    assert_eq!(left, (String::new(), cancelled(), cancelled()));

    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    let (before, rejected) = told(before, 3).await;
    let invalid = |status| ("invalid_request".into(), status);
    assert_eq!(rejected, ("400".into(), invalid(0), invalid(2)));

    ask(gateway.address(), post(CHAT, &chat("nobody's", false))).await;
    let (_, refused) = told(before, 4).await;
    assert_eq!(refused, ("404".into(), ("model_not_found".into(), 0), none()));
    let spans = collector.spans();
    assert_eq!(spans.last().unwrap().name, "chat", "what nobody serves names nothing");
}

#[tokio::test]
async fn nothing_is_told_of_what_is_not_sampled_and_the_instance_hears_the_same() {
    let collector = Collector::start().await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let file = file("sampling-ratio: 0,", &collector.url(), &[upstream.url()]);
    let mut gateway = Gateway::start_yaml(&file);
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    ask(gateway.address(), traced(&chat("m", false), "00")).await;
    ask(gateway.address(), traced(&chat("m", false), "01")).await;
    gateway.signal("TERM");
    gateway.exit().await;
    let spans = collector.spans();
    assert_eq!(hex(&only(&spans, is_server).trace_id), TRACE, "its caller has sampled it");
    let sent = upstream.requests();
    let flags = |request: &String| {
        let line = request.lines().find(|line| line.starts_with("traceparent: ")).unwrap();
        line[line.len() - 2..].to_owned()
    };
    assert_eq!(sent.iter().map(flags).collect::<Vec<_>>(), ["00", "00", "01"]);
}

#[tokio::test]
async fn a_collector_is_told_over_tls_if_it_is_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let collector = Collector::start().await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let place = collector.address();
    let secured = Secured::start(&authority, "localhost", place, Manner::Well).await;
    let trusting = |authority: &Authority| {
        let file = file("", &secured.url("localhost"), &[upstream.url()]);
        let tls = format!("timeout: 1s, tls: {{ ca: '{}' }}", authority.file());
        Gateway::start_yaml(&file.replace("timeout: 1s", &tls))
    };
    let gateway = trusting(&other);
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    gateway.logged("spans are not taken").await;
    assert!(collector.batches().is_empty());
    let gateway = trusting(&authority);
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!(collector.told(1).await.len(), 2);
}

#[tokio::test]
async fn another_ratio_acts_as_soon_as_the_file_is_read_again() {
    let collector = Collector::start().await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let ratio = |ratio| {
        let ratio = format!("sampling-ratio: {ratio},");
        file(&ratio, &collector.url(), &[upstream.url()])
    };
    let gateway = Gateway::start_yaml(&ratio(0));
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    gateway.write(&ratio(1));
    gateway.signal("HUP");
    gateway.logged("another configuration is served").await;
    ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!(collector.told(1).await.len(), 2);
    let flags = |request: String| request.contains("-01\r\n");
    assert_eq!(upstream.requests().into_iter().map(flags).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn the_last_spans_are_sent_before_the_program_ends() {
    let collector = Collector::start().await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let mut gateway = started(&collector, &[&upstream]);
    for _ in 0..20 {
        ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    }
    gateway.signal("TERM");
    assert!(gateway.exit().await.success());
    assert_eq!(collector.spans().len(), 40);
}

/// The value of a metric without labels.
async fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = ask(gateway.operators(), get("/metrics")).await.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().expect("a number")
}

/// A hundred callers at a time, so many requests each, all of which are answered.
async fn load(gateway: &Gateway, each: usize) {
    let address = gateway.address();
    let caller = async move || {
        let mut client = RawClient::connect(address).await;
        for _ in 0..each {
            client.post(CHAT, &chat("m", false)).await;
            assert_eq!(client.answer().await.status, 200);
        }
    };
    futures::future::join_all((0..100).map(|_| caller())).await;
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_or_refuses_costs_no_request_and_is_told_once() {
    let silent = Collector::serving(|_| vec![Stall]).await;
    let refusing = Collector::serving(|_| vec![Send(json("403 No", "{}"))]).await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let closed = closed_port().await;
    for url in [format!("http://{closed}"), silent.url(), refusing.url()] {
        let mut gateway = Gateway::start_yaml(&file("", &url, &[upstream.url()]));
        load(&gateway, 5).await;
        gateway.logged("spans are not taken").await;
        load(&gateway, 2).await;
        assert_eq!(metric(&gateway, "jairouter_spans_exported_total").await, 0);
        a_moment().await;
        assert_eq!(gateway.log().matches("spans are not taken").count(), 1, "{url}");
        let told = tokio::time::Instant::now();
        gateway.signal("TERM");
        assert!(gateway.exit().await.success());
        assert!(told.elapsed() < Duration::from_secs(10), "its end waits for no collector");
    }
}

#[tokio::test]
async fn what_finds_no_room_is_dropped_and_counted_and_a_collector_that_is_back_gets_the_rest() {
    let is_back = Arc::new(AtomicBool::new(false));
    let back = Arc::clone(&is_back);
    let collector = Collector::serving(move |_| match back.load(Ordering::Relaxed) {
        true => vec![Collector::taken()],
        false => vec![Send(json("503 Busy", "{}"))],
    })
    .await;
    let upstream = Upstream::answering(json("200 OK", ANSWER)).await;
    let gateway = started(&collector, &[&upstream]);
    let counts = async || {
        let (taken, lost) = ("jairouter_spans_exported_total", "jairouter_spans_dropped_total");
        (metric(&gateway, taken).await, metric(&gateway, lost).await)
    };
    let mut asked = 0;
    while counts().await.1 == 0 {
        load(&gateway, 5).await;
        asked += 500;
    }
    is_back.store(true, Ordering::Relaxed);
    gateway.logged("spans are taken again").await;
    let begun = tokio::time::Instant::now();
    loop {
        let (taken, lost) = counts().await;
        if taken + lost == 2 * asked {
            assert!(collector.spans().len() as u64 >= taken);
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{taken} taken, {lost} lost");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
