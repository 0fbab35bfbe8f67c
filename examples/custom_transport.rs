//! A transport of one's own: an engine behind a Unix socket, which nobody on the network reaches.
//!
//! ```console
//! $ vllm serve Qwen/Qwen3-0.6B --uds /tmp/vllm.sock &
//! $ cargo run -p jairouter-examples --example custom_transport -- /tmp/vllm.sock Qwen/Qwen3-0.6B
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::env::args;
use std::error::Error as StdError;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jairouter_core::{Body, Endpoint, Error, InferenceRequest, Kind, Payload, Reply, Upstream};
use jairouter_openai::OpenAi;
use serde_json::json;
use tokio::net::UnixStream;
use tower::{Service, ServiceExt};

/// A connection for each request. Whoever drops the answer ends it, which tells the engine to stop.
#[derive(Debug, Clone)]
struct UnixSocket(Arc<Path>);

impl Service<Request<Payload>> for UnixSocket {
    type Response = Response<Body>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Response<Body>, Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        let path = Arc::clone(&self.0);
        async move {
            // Nothing has been sent: another instance may be asked without a doubt.
            let unreachable =
                |error| Error::new(Kind::Unreachable, "no engine listens").with_source(error);
            let socket = UnixStream::connect(path).await.map_err(unreachable)?;
            let broken =
                |error| Error::new(Kind::Broken, "the engine broke off").with_source(error);
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(socket)).await.map_err(broken)?;
            tokio::spawn(connection);
            Ok(sender.send_request(request).await.map_err(broken)?.map(Body::new))
        }
        .boxed()
    }
}

/// What the model behind this socket says.
async fn ask(socket: &Path, model: &str) -> Result<String, Box<dyn StdError>> {
    // Its authority is what the engine reads as `Host`.
    let engine =
        Upstream::new(OpenAi::new(), "http://localhost".parse()?, UnixSocket(socket.into()));
    let question = json!({ "model": model, "messages": [{ "role": "user", "content": "Hello!" }] });
    let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
    Ok(Reply::new(engine.oneshot(request).await?).text().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let (Some(socket), Some(model)) = (args().nth(1), args().nth(2)) else {
        return Err("usage: custom_transport SOCKET MODEL".into());
    };
    println!("{}", Box::pin(ask(Path::new(&socket), &model)).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::routing::post;
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn an_engine_behind_a_socket_answers_and_none_is_unreachable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.sock");
        let nobody = Box::pin(ask(&path, "m")).await.unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(nobody.kind(), Kind::Unreachable);
        let listener = UnixListener::bind(&path).unwrap();
        let answer = r#"{"choices":[{"message":{"content":"Hi!"},"finish_reason":"stop"}]}"#;
        let chat = post(async move || ([("content-type", "application/json")], answer));
        let app = axum::Router::new().route("/v1/chat/completions", chat);
        tokio::spawn(async move { axum::serve(listener, app).await });
        assert_eq!(Box::pin(ask(&path, "m")).await.unwrap(), "Hi!");
    }
}
