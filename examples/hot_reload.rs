//! Another configuration in the place of one that serves: a stream that is open comes to its end by the old one, and the
//! next request is answered by the new one. `cargo run -p jairouter-examples --example hot_reload` says who ended what.

#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use std::error::Error;

use bytes::Bytes;
use http::Request;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use jairouter_config::{Config, Live, Serving};
use tower::ServiceExt;

type Stream = UnsyncBoxBody<Bytes, jairouter_core::Error>;

/// A model at one instance. A file that changes is a `jairouter_config::Source`.
fn config(instance: &str) -> Result<Config, Box<dyn Error>> {
    let list =
        format!("[ {{ name: demo, adapter: simulated, base-url: 'simulated://{instance}' }} ]");
    Ok(Config::parse(&format!("model: {{ services: {{ chat: {{ instances: {list} }} }} }}"))?)
}

/// Asks for a stream: who answers, and the stream.
async fn ask(gateway: &Serving) -> Result<(String, Stream), Box<dyn Error>> {
    let chat = r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hi"}]}"#;
    let request = Request::post("/v1/chat/completions").header("content-type", "application/json");
    let answer = gateway.clone().oneshot(request.body(Full::from(chat))?).await?;
    let instance = answer.headers().get("x-jairouter-instance").ok_or("nobody answers")?;
    Ok((instance.to_str()?.to_owned(), answer.into_body().boxed_unsync()))
}

/// Who has answered what, in the order of the ends.
async fn reloaded() -> Result<Vec<(String, Bytes)>, Box<dyn Error>> {
    let mut live = Live::start(config("old")?).await?;
    let (gateway, reload) = (live.core(), live.reload());
    tokio::spawn(live.run());

    let (first, mut open) = ask(&gateway).await?;
    let begun = open.frame().await.ok_or("it is empty")??;
    assert!(begun.is_data(), "the stream goes on");
    reload.take(config("new")?).await?;
    let (second, next) = ask(&gateway).await?;
    let next = next.collect().await?.to_bytes();
    Ok(vec![(second, next), (first, open.collect().await?.to_bytes())])
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    for (instance, stream) in Box::pin(reloaded()).await? {
        let end = stream.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        println!("{instance} ends with {}", String::from_utf8_lossy(end));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_open_ends_by_the_old_one_and_what_comes_is_the_new_one_s() {
        let ends = Box::pin(reloaded()).await.unwrap();
        let by: Vec<_> = ends.iter().map(|(instance, _)| &**instance).collect();
        assert_eq!(by, ["demo@new", "demo@old"]);
        for (instance, stream) in ends {
            assert!(stream.ends_with(b"data: [DONE]\n\n"), "{instance}: {stream:?}");
        }
    }

    #[tokio::test]
    async fn what_is_wrong_changes_nothing() {
        let mut live = Live::start(config("old").unwrap()).await.unwrap();
        let gateway = live.core();
        assert!(config("old' , nmae: 'x").is_err());
        assert_eq!(ask(&gateway).await.unwrap().0, "demo@old");
    }
}
