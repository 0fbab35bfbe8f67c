//! The gateway in thirty lines: one model over the engines that its arguments name.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example thirty_lines -- qwen3 http://127.0.0.1:8000 http://127.0.0.1:8001
//! ```

use std::env::args;
use std::error::Error;

use jairouter_core::balance::LeastConnections;
use jairouter_core::client::HttpClient;
use jairouter_core::router::Group;
use jairouter_core::upstream::InvalidTarget;
use jairouter_core::{Gateway, Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use tokio::net::TcpListener;

fn gateway(
    model: &str,
    engines: impl Iterator<Item = String>,
) -> Result<Gateway<Router<OpenAi, HttpClient>>, InvalidTarget> {
    let mut chat = Group::new(LeastConnections::new());
    for url in engines {
        chat = chat.instance(model, Upstream::http(OpenAi::new(), &url)?);
    }
    Ok(Router::builder().service(ServiceType::Chat, chat).build().into_gateway())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = gateway(&args().nth(1).ok_or("which model?")?, args().skip(2))?;
    let listener = TcpListener::bind(("127.0.0.1", 8080)).await?;
    Ok(axum::serve(listener, axum::Router::new().fallback_service(gateway)).await?)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::post;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    /// An engine on a socket, which says its name.
    async fn engine(name: &'static str) -> String {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = format!(r#"{{"choices":[],"model":"{name}"}}"#);
        let chat = post(async move || ([("content-type", "application/json")], answer));
        let app = axum::Router::new().route("/v1/chat/completions", chat);
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    #[tokio::test]
    async fn both_engines_answer_in_turn() {
        let engines = [engine("one").await, engine("two").await];
        let gateway = gateway("m", engines.into_iter()).unwrap();
        for expected in ["one", "two", "one"] {
            let question = Request::post("/v1/chat/completions")
                .header("content-type", "application/json")
                .body(Body::from(r#"{"model":"m","messages":[]}"#));
            let answer = gateway.clone().oneshot(question.unwrap()).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!(r#"{{"choices":[],"model":"{expected}"}}"#));
        }
    }

    #[test]
    fn what_is_no_place_of_an_engine_is_refused() {
        for url in ["127.0.0.1:8000", "https://engine", "http://"] {
            assert!(gateway("m", [url.to_owned()].into_iter()).is_err(), "{url}");
        }
    }
}
