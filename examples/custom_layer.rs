//! A layer of one's own that does something at the end of each answer, which is where its body ends.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example custom_layer
//! ```

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use http::Response;
use http_body::Body as HttpBody;
use jairouter_core::{
    BodyGuard, End, Endpoint, Error, GuardedBody, InferenceRequest, Reply, Upstream,
};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use serde_json::json;
use tower::layer::layer_fn;
use tower::{Layer, Service, ServiceExt};

/// How many answers are open, from the request to the last byte.
#[derive(Debug, Clone, Default)]
struct Open(Arc<AtomicUsize>);

/// One of them. Dropped wherever its answer ends: as a future, or as a body.
struct OneOpen(Open);

impl Drop for OneOpen {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

impl BodyGuard for OneOpen {
    fn end(self, _: End) {}
}

/// Counts the answers of the service inside. `tower::layer::layer_fn` makes a `Layer` of it.
struct Count<S>(S, Open);

impl<S, B> Service<InferenceRequest> for Count<S>
where
    S: Service<InferenceRequest, Response = Response<B>, Error = Error, Future: Send + 'static>,
    B: HttpBody,
{
    type Response = Response<GuardedBody<B, OneOpen>>;
    type Error = Error;
    type Future = BoxFuture<'static, Result<Self::Response, Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: InferenceRequest) -> Self::Future {
        self.1.0.fetch_add(1, Relaxed);
        let one = OneOpen(self.1.clone());
        let answer = self.0.call(request);
        answer.map_ok(|answer| answer.map(|body| GuardedBody::new(body, one))).boxed()
    }
}

/// How many answers are open while one is, and when it is over.
async fn ask() -> Result<[usize; 2], Box<dyn StdError>> {
    let engine = Upstream::new(OpenAi::new(), "simulated://engine".parse()?, Engine::default());
    let open = Open::default();
    let counted = layer_fn(|inner| Count(inner, open.clone())).layer(engine);
    let question =
        json!({ "model": "m", "stream": true, "messages": [{ "role": "user", "content": "Hi!" }] });
    let request = InferenceRequest::json(Endpoint::ChatCompletions, &question)?;
    let reply = Reply::new(counted.oneshot(request).await?);
    let during = open.0.load(Relaxed);
    reply.text().await?;
    Ok([during, open.0.load(Relaxed)])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let [during, after] = ask().await?;
    println!("{during} open while it went on, {after} afterwards");
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_open_until_its_body_ends() {
        assert_eq!(ask().await.unwrap(), [1, 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_before_there_is_an_answer_has_none_open() {
        let open = Open::default();
        let engine = tower::service_fn(async |_: InferenceRequest| {
            std::future::pending::<Result<Response<Full<Bytes>>, Error>>().await
        });
        let mut counted = Count(engine, open.clone());
        let question = json!({ "model": "m", "messages": [] });
        let request = InferenceRequest::json(Endpoint::ChatCompletions, &question).unwrap();
        let asked = counted.call(request);
        assert_eq!(open.0.load(Relaxed), 1);
        drop(asked);
        assert_eq!(open.0.load(Relaxed), 0);
    }
}
