//! The end of the program, and connections of HTTP/2 on which nothing has been asked yet.

use std::time::Duration;

use jairouter_tests::gateway::{Gateway, model};
use jairouter_tests::http2::{Frame, Frames, kind, request};
use jairouter_tests::tls::Authority;
use jairouter_tests::upstream::{Upstream, json};
use tokio::time::sleep;

// fault: O7 O9
#[tokio::test]
async fn who_has_agreed_on_http_2_and_asks_when_the_end_begins_is_answered() {
    let upstream = Upstream::answering(json("200 OK", "{}")).await;
    let authority = Authority::new();
    let (certificate, key) = authority.files("localhost");
    let tls = format!("  tls: {{ certificate: '{certificate}', key: '{key}' }}\n");
    let mut gateway = Gateway::start_with(&tls, &model("", &[upstream.url()]));
    let connect = || authority.connect_offering(gateway.address(), None, &["h2"]);
    let (late, silent) = (connect().await.unwrap(), connect().await.unwrap());
    gateway.signal("TERM");
    gateway.logged("draining").await;
    sleep(Duration::from_millis(200)).await;
    let mut late = Frames::connect(late).await.unwrap();
    let end = kind::END_STREAM | kind::END_HEADERS;
    late.send(&[Frame::new(kind::HEADERS, end, 1, request("/healthz"))]).await.unwrap();
    assert!(late.until(kind::HEADERS).await.is_some(), "it is answered");
    assert!(late.until(kind::GOAWAY).await.is_some(), "and told that it was the last");
    // Who never says anything, or never hears, holds up nobody.
    assert!(gateway.exit().await.success());
    drop((late, silent));
}
