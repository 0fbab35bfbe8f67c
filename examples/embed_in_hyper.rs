//! The gateway inside a hyper server, whose connections, clocks and shutdown stay the host's own.
//!
//! ```console
//! $ cargo run -p jairouter-examples --example embed_in_hyper
//! $ curl -N http://127.0.0.1:3000/v1/chat/completions -H 'Content-Type: application/json' \
//!     -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello!"}]}'
//! ```

use std::error::Error;
use std::pin::pin;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use jairouter_core::balance::LeastConnections;
use jairouter_core::router::Group;
use jairouter_core::{Router, ServiceType, Upstream};
use jairouter_openai::OpenAi;
use jairouter_simulated::Engine;
use tokio::net::TcpListener;

/// Serves until `stop` is ready, and then what is open, to its end.
async fn serve(
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error>> {
    let engine = Upstream::new(OpenAi::new(), "simulated://engine".parse()?, Engine::default());
    let chat = Group::new(LeastConnections::new()).instance("demo", engine);
    let gateway = Router::builder().service(ServiceType::Chat, chat).build().into_gateway();

    let (open, mut stop) = (GracefulShutdown::new(), pin!(stop));
    loop {
        let (socket, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut stop => break,
        };
        socket.set_nodelay(true)?;
        let service = TowerToHyperService::new(gateway.clone());
        let mut server = http1::Builder::new();
        // A caller that leaves is noticed, and one that is silent in the middle of a head is not waited for.
        server.half_close(false).timer(TokioTimer::new());
        let connection = server.serve_connection(TokioIo::new(socket), service);
        tokio::spawn(open.watch(connection));
    }
    open.shutdown().await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 3000)).await?;
    serve(listener, async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_stream_that_is_open_when_the_host_stops_comes_to_its_end() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = async {
            serve(listener, async { stopped.await.unwrap_or_default() }).await.unwrap();
        };
        let caller = async {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let body =
                r#"{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hi!"}]}"#;
            let head =
                "POST /v1/chat/completions HTTP/1.1\r\nhost: h\r\ncontent-type: application/json";
            let request = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = vec![0; 64];
            socket.read_exact(&mut answer).await.unwrap();
            stop.send(()).unwrap();
            // The connection is the server's to end.
            socket.read_to_end(&mut answer).await.unwrap();
            String::from_utf8(answer).unwrap()
        };
        let ((), answer) = tokio::join!(server, caller);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"), "{answer}");
    }
}
