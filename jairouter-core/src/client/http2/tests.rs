use std::time::Duration;

use bytes::Bytes;
use h2::server;
use tokio::io::{DuplexStream, duplex};
use tokio::time::sleep;

use super::*;

const IDLE: Duration = Duration::from_secs(3);

/// A connection that is driven, and the instance's end of it.
async fn connected(
    how: &server::Builder,
) -> (Arc<Link>, Arc<Http2>, server::Connection<DuplexStream, Bytes>) {
    let (ours, theirs) = duplex(64 * 1024);
    let accepting = how.handshake(theirs);
    let (greeted, accepted) = Box::pin(futures::future::join(link::greet(ours), async {
        let mut accepted = accepting.await.unwrap();
        // What it takes is said as it is polled.
        let polled = futures::future::poll_immediate(accepted.accept()).await;
        assert!(polled.is_none());
        accepted
    }))
    .await;
    let (link, connection) = greeted.unwrap();
    let home = Arc::new(Http2::new(true, IDLE));
    home.links.store(Arc::new(vec![Arc::clone(&link)]));
    tokio::spawn(link::drive(connection, Arc::clone(&link), Arc::downgrade(&home), IDLE));
    (link, home, accepted)
}

fn request() -> Request<Payload> {
    Request::post("/v1/chat/completions").body(Payload::from("{}")).unwrap()
}

async fn ask(place: Place) -> Result<Response<ResponseBody>, Error> {
    exchange::ask(place, request(), &http::HeaderValue::from_static("engine")).await
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_answers_no_ping_is_given_up_and_not_asked_again() {
    let (_, home, mut theirs) = connected(&server::Builder::new()).await;
    drop(home.place());
    let asked = tokio::spawn(ask(home.place().unwrap()));
    let accepted = theirs.accept().await.unwrap().unwrap();
    let begun = Instant::now();
    // From here on nobody is there.
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.is_stale()), (Kind::Broken, false));
    assert!((25..40).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(home.place().is_none());
    drop(accepted);
}

#[tokio::test(start_paused = true)]
async fn one_that_answers_them_may_take_its_time() {
    let (_, home, mut theirs) = connected(&server::Builder::new()).await;
    let asked = tokio::spawn(ask(home.place().unwrap()));
    let (_request, mut respond) = theirs.accept().await.unwrap().unwrap();
    tokio::spawn(async move { while theirs.accept().await.is_some() {} });
    sleep(Duration::from_secs(300)).await;
    respond.send_response(Response::new(()), true).unwrap();
    assert!(asked.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_unused_connection_says_goodbye_and_nobody_gets_a_place_on_it() {
    let (link, home, mut theirs) = connected(&server::Builder::new()).await;
    let place = home.place().unwrap();
    tokio::spawn(async move { while theirs.accept().await.is_some() {} });
    sleep(IDLE * 3).await;
    assert!(home.place().is_some(), "somebody is on it");
    drop(place);
    sleep(IDLE * 2).await;
    assert!(home.place().is_none() && home.links.load().is_empty());
    assert_eq!(Arc::strong_count(&link), 1);
}

#[tokio::test]
async fn no_more_places_are_given_than_the_instance_takes() {
    for (most, expected) in [(Some(1), 1), (Some(3), 3), (None, 100)] {
        let mut how = server::Builder::new();
        if let Some(most) = most {
            how.max_concurrent_streams(most);
        }
        let (_, home, _theirs) = connected(&how).await;
        let mut places: Vec<_> = std::iter::from_fn(|| home.place()).collect();
        assert_eq!(places.len(), expected);
        places.pop();
        let again = home.place().unwrap();
        again.retire();
        drop(again);
        assert!(home.place().is_none());
    }
}
