use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use http_body::Body as HttpBody;
use tower::Service;

use super::*;

#[test]
fn a_token_allocates_its_frame_and_nothing_else() {
    const TOKENS: u64 = 1000;
    let mut engine =
        Engine::builder().first_token(Duration::ZERO).rate(0.0).length(TOKENS as usize).build();
    let cx = &mut Context::from_waker(Waker::noop());
    let ask = question(&json!({"stream": true})).to_string();
    let request = Request::post(CHAT).body(Payload::from(Bytes::from(ask))).unwrap();
    let Poll::Ready(Ok(answer)) = pin!(engine.call(request)).poll(cx) else {
        panic!("it waits");
    };
    let mut body = pin!(answer.into_body());
    let used = measure(|| {
        while !body.is_end_stream() {
            assert!(body.as_mut().poll_frame(cx).is_ready());
        }
    });
    // The role and the end are a frame each. A frame is its bytes and what shares them.
    assert!(used.count_total <= 2 * (TOKENS + 2), "{} allocations", used.count_total);
}
