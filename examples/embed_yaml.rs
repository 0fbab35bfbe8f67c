//! A YAML file as a gateway inside an existing axum service: its keys, limits, health and discovery, and none of the
//! program's server, log and metrics.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example embed_yaml
//! $ curl -N http://127.0.0.1:3000/v1/chat/completions -H 'Content-Type: application/json' \
//!     -H 'Authorization: Bearer jr-alice-7d1f' \
//!     -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
//! ```

use std::error::Error;

use axum::routing::get;
use jairouter_config::{Config, Live};
use tokio::net::TcpListener;

/// In a file: `Config::read("jairouter.yaml")`.
const YAML: &str = "
security:
  api-keys:
    # What `jairouter keys new alice` prints, of the key jr-alice-7d1f.
    - name: alice
      digest: 'sha256:81b446c217c6502208b9c273dbb665bb805f1a886e78548abe449b220b268c38'
model:
  rate-limit: { enabled: true, algorithm: token-bucket, capacity: 2, rate: 2 }
  services:
    chat:
      load-balance: { type: least-connections }
      instances:
        - { name: demo, adapter: simulated, base-url: 'simulated://one' }
        - { name: demo, adapter: simulated, base-url: 'simulated://two' }
";

/// The service as it would be without a gateway, and the file's gateway under it.
async fn app(yaml: &str) -> Result<axum::Router, Box<dyn Error>> {
    // Every error of the file is in this one, each with its line.
    let mut live = Live::start(Config::parse(yaml)?).await?;
    let gateway = live.core();
    // Probes and lists of models, beside the requests, on whatever runtime there is.
    tokio::spawn(live.run());
    Ok(axum::Router::new()
        .route("/", get(|| async { "my own route\n" }))
        .route_service("/v1/{*path}", gateway))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 3000)).await?;
    axum::serve(listener, app(YAML).await?).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    const CHAT: &str =
        r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;

    async fn ask(app: &axum::Router, path: &str, key: &str, body: &'static str) -> (u16, String) {
        let request = match body {
            "" => Request::get(path),
            _ => Request::post(path).header("content-type", "application/json"),
        };
        let request = match key {
            "" => request,
            key => request.header("authorization", format!("Bearer {key}")),
        };
        let answer = app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_host_s_routes_are_its_own_and_the_rest_is_as_the_file_says() {
        let app = app(YAML).await.unwrap();
        assert_eq!(ask(&app, "/", "", "").await, (200, "my own route\n".into()));

        let (status, told) = ask(&app, "/v1/chat/completions", "", CHAT).await;
        assert!(status == 401 && told.contains("an API key is needed"), "{status} {told}");
        let (status, told) = ask(&app, "/v1/chat/completions", "jr-bob", CHAT).await;
        assert!(status == 401 && told.contains("not valid"), "{status} {told}");

        let alice = "jr-alice-7d1f";
        let (status, models) = ask(&app, "/v1/models", alice, "").await;
        assert!(status == 200 && models.contains(r#""id":"demo""#), "{status} {models}");
        let (status, stream) = ask(&app, "/v1/chat/completions", alice, CHAT).await;
        assert!(status == 200 && stream.ends_with("data: [DONE]\n\n"), "{status} {stream}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_more_than_the_limit_is_too_many() {
        let app = app(YAML).await.unwrap();
        let chats = [(); 3].map(|()| ask(&app, "/v1/chat/completions", "jr-alice-7d1f", CHAT));
        let mut statuses = futures::future::join_all(chats).await;
        statuses.sort();
        assert_eq!(statuses.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 429]);
    }

    #[tokio::test]
    async fn a_file_that_is_wrong_is_told_with_its_lines() {
        let wrong =
            YAML.replace("least-connections", "least").replace("capacity: 2", "capacity: x");
        let told = app(&wrong).await.unwrap_err().to_string();
        let lines: Vec<_> = told.lines().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["8", "11"], "{told}");
    }
}
