//! The gateway inside an existing axum service, beside routes of its own.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example embed_in_axum
//! $ curl -N http://127.0.0.1:3000/v1/chat/completions -H 'Content-Type: application/json' \
//!     -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use jairouter_core::balance::{Instance, LeastConnections};
use jairouter_core::gateway::ClientAddr;
use jairouter_core::router::Group;
use jairouter_core::upstream::{InvalidTarget, Target};
use jairouter_core::{Gateway, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use tokio::net::TcpListener;

/// The service as it would be without a gateway, and the gateway under it.
fn app() -> Result<axum::Router, InvalidTarget> {
    let mut chat = Group::new(LeastConnections::new());
    for url in ["simulated://one", "simulated://two"] {
        // For an engine on the network, the client is `HttpClient::new(target.authority())`.
        let target: Target = url.parse()?;
        let upstream = Upstream::new(OpenAi::new(), target, Engine::default());
        chat = chat.instance("demo", Instance::new(url, upstream));
    }
    let router = Router::builder().service(ServiceType::Chat, chat).build();
    let gateway = Gateway::new(router).with_models(["demo"]);

    Ok(axum::Router::new()
        .route("/", get(|| async { "my own route\n" }))
        .route_service("/v1/{*path}", gateway)
        // The host's own middleware sees the gateway's requests, too.
        .layer(middleware::from_fn(tell_who_asks)))
}

/// Tells the gateway the caller's address, for its log and for balancing by it.
async fn tell_who_asks(mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let client = ClientAddr(peer.ip());
        request.extensions_mut().insert(client);
    }
    next.run(request).await
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

    async fn ask(request: http::request::Builder, body: &'static str) -> (u16, String) {
        let request = request.header("content-type", "application/json").body(Body::from(body));
        let answer = app().unwrap().oneshot(request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn both_the_host_s_routes_and_the_gateway_s_answer() {
        assert_eq!(ask(Request::get("/"), "").await, (200, "my own route\n".into()));
        let (status, models) = ask(Request::get("/v1/models"), "").await;
        assert_eq!(status, 200);
        assert!(models.contains(r#""id":"demo""#), "{models}");
        let chat = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
        let (status, stream) = ask(Request::post("/v1/chat/completions"), chat).await;
        assert_eq!(status, 200);
        assert!(stream.ends_with("data: [DONE]\n\n"), "{stream}");
        let (status, _) = ask(Request::post("/v1/nothing"), "{}").await;
        assert_eq!(status, 404);
    }
}
