//! What an operator is told who asks.

use std::io::Write as _;

use jairouter_tests::gateway::Gateway;
use jairouter_tests::tls::{Authority, Manner, Secured};
use jairouter_tests::upstream::Step::Send;
use jairouter_tests::upstream::{Upstream, closed_port, json};
use tempfile::NamedTempFile;

const LIST: &str = r#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#;

async fn engine(health: &'static str) -> Upstream {
    Upstream::serving(move |_, request| {
        let is_list = request.starts_with("GET /v1/models");
        vec![Send(if is_list { json("200 OK", LIST) } else { json(health, "{}") })]
    })
    .await
}

async fn run(command: &'static str, instances: &[String]) -> (String, bool) {
    let mut file = NamedTempFile::new().expect("room for it");
    let list = instances.join("\n        - ");
    write!(file, "model:\n  services:\n    chat:\n      instances:\n        - {list}\n")
        .expect("room for it");
    let run = move || Gateway::try_run(&[command, file.path().to_str().expect("it is text")]);
    tokio::task::spawn_blocking(run).await.expect("it runs")
}

#[tokio::test]
async fn the_doctor_says_what_is_wrong_with_whom() {
    let [good, sick, locked] =
        [engine("200 OK").await, engine("500 No").await, engine("401 No").await];
    let (free, authority) = (closed_port().await, Authority::new());
    let secured = Secured::start(&authority, "localhost", good.address(), Manner::Well).await;
    let instance = |url: &str, rest: &str| format!("{{ base-url: '{url}', adapter: vllm{rest} }}");
    let (text, well) =
        run("doctor", &[instance(&good.url(), ", name: a"), instance(&good.url(), "")]).await;
    assert!(well && text.matches("ok  ").count() == 2, "{text}");
    assert!(text.contains("models: a, b") && text.contains("health 200 in "), "{text}");
    let (text, well) = run(
        "doctor",
        &[
            instance(&good.url(), ", name: c"),
            instance(&sick.url(), ", name: a"),
            instance(&locked.url(), ", name: a"),
            instance(&format!("http://{free}"), ", name: a"),
            instance(&secured.url("localhost"), ", name: a"),
            instance(&format!("http://{free}/x"), ", status: inactive, name: a"),
            instance(&good.url(), ", name: alias, model: b"),
        ],
    )
    .await;
    assert!(!well && text.contains("5 instances are not well"), "{text}");
    for expected in [
        "it does not list 'c'",
        "its health is 500",
        "refuses the key",
        "refused",
        "UnknownIssuer",
        "off  chat/a@",
        "ok   alias@",
    ] {
        assert!(text.contains(expected), "{expected}:\n{text}");
    }
}

#[tokio::test]
async fn models_are_listed_with_who_serves_them() {
    let engine = engine("200 OK").await;
    let instances = [
        format!("{{ base-url: '{}', instance-id: one }}", engine.url()),
        format!("{{ base-url: '{}', name: a, model: own, instance-id: two }}", engine.url()),
        format!("{{ base-url: 'http://{}', instance-id: gone }}", closed_port().await),
    ];
    let (text, well) = run("models", &instances).await;
    assert!(well && text.contains("chat\n  a  one, two as own\n  b  one\n"), "{text}");
    assert!(text.contains("gone does not list its models"), "{text}");
}
