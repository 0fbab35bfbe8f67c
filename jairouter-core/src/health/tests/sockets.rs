//! Through the client of the house.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::probe::probe;
use super::*;
use crate::client::HttpClient;

async fn find(client: &mut HttpClient) -> Outcome {
    let deadline = Instant::now() + 60 * SECOND;
    probe(client, Request::new(Payload::default()), deadline).await
}

async fn listen() -> (TcpListener, HttpClient) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
    (listener, HttpClient::new(&authority))
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let (listener, mut client) = listen().await;
    drop(listener);
    assert_eq!(find(&mut client).await, Outcome::Refused);
}

#[tokio::test]
async fn what_speaks_no_http_has_failed_and_is_not_refused() {
    let cases = [
        (&b""[..], Outcome::Failed),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Outcome::Failed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort", Outcome::Failed),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Outcome::Good),
    ];
    for (bytes, expected) in cases {
        let (listener, mut client) = listen().await;
        let engine = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(socket.read(&mut request).await.unwrap() > 0);
            socket.write_all(bytes).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(find(&mut client), engine);
        assert_eq!(outcome, expected, "{:?}", bytes.escape_ascii().to_string());
    }
}
