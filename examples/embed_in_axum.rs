//! The gateway inside an existing axum service, beside routes of its own.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example embed_in_axum
//! $ curl -N http://127.0.0.1:3000/v1/chat/completions -H 'Content-Type: application/json' \
//!     -H "Authorization: Bearer ann's key" -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use jairouter_core::balance::LeastConnections;
use jairouter_core::gateway::ClientAddr;
use jairouter_core::observe::{Exchange, ObserveLayer};
use jairouter_core::request::Principal;
use jairouter_core::router::Group;
use jairouter_core::upstream::InvalidTarget;
use jairouter_core::usage::Usage;
use jairouter_core::{Gateway, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use tokio::net::TcpListener;
use tower::Layer;

/// The host's own metrics.
type Tokens = Arc<AtomicU64>;

/// The service as it would be without a gateway, and the gateway under it.
fn app() -> Result<axum::Router, InvalidTarget> {
    let mut chat = Group::new(LeastConnections::new());
    for url in ["simulated://one", "simulated://two"] {
        // For an engine on the network: `Upstream::http(OpenAi::new(), url)?`.
        chat = chat.instance("demo", Upstream::new(OpenAi::new(), url.parse()?, Engine::default()));
    }
    let router = Router::builder().service(ServiceType::Chat, chat).build();
    let tokens = Tokens::default();
    let counted = {
        let tokens = Arc::clone(&tokens);
        ObserveLayer::new(move |exchange: &Exchange| {
            tokens.fetch_add(exchange.usage.map_or(0, Usage::total), Relaxed);
        })
    };
    let gateway = Gateway::new(counted.layer(router)).with_models(["demo"]);

    let metrics = async |State(tokens): State<Tokens>| format!("tokens {}\n", tokens.load(Relaxed));
    Ok(axum::Router::new()
        .route_service("/v1/{*path}", gateway)
        .layer(middleware::from_fn(let_in))
        .route("/metrics", get(metrics))
        .with_state(tokens))
}

/// The host's own authentication. It tells the gateway who asks, for its log and for what it keeps for a caller, and
/// from where, for balancing and limits by address.
async fn let_in(mut request: Request, next: Next) -> Result<Response, StatusCode> {
    let name = match request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes) {
        Some(b"Bearer ann's key") => "ann",
        _ => return Err(StatusCode::UNAUTHORIZED),
    };
    request.extensions_mut().insert(Principal::new(name));
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let client = ClientAddr(peer.ip());
        request.extensions_mut().insert(client);
    }
    Ok(next.run(request).await)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 3000)).await?;
    let until_ctrl_c = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    let app = app()?.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(until_ctrl_c).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(app: &axum::Router, path: &str, key: &str, body: &'static str) -> (u16, String) {
        let method = if body.is_empty() { "GET" } else { "POST" };
        let request = Request::builder().method(method).uri(path).header(AUTHORIZATION, key);
        let request = request.header("content-type", "application/json").body(Body::from(body));
        let answer = app.clone().oneshot(request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_gateway_answers_whom_the_host_lets_in_and_the_host_counts() {
        let (app, key) = (app().unwrap(), "Bearer ann's key");
        let (status, models) = ask(&app, "/v1/models", key, "").await;
        assert_eq!(status, 200);
        assert!(models.contains(r#""id":"demo""#), "{models}");
        let chat = r#"{"model":"demo","stream":true,"stream_options":{"include_usage":true},
            "messages":[{"role":"user","content":"Hi"}]}"#;
        let path = "/v1/chat/completions";
        assert_eq!(ask(&app, path, "Bearer eve's key", chat).await.0, 401);
        assert_eq!(ask(&app, "/metrics", "", "").await, (200, "tokens 0\n".into()));
        let (status, stream) = ask(&app, path, key, chat).await;
        assert_eq!(status, 200);
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
        let (_, metrics) = ask(&app, "/metrics", "", "").await;
        let tokens = metrics.trim().strip_prefix("tokens ").unwrap().parse::<u64>().unwrap();
        assert!(
            tokens > 2 && stream.contains(&format!(r#""total_tokens":{tokens}"#)),
            "{tokens}: {stream}"
        );
        assert_eq!(ask(&app, "/v1/nothing", key, "{}").await.0, 404);
    }
}
