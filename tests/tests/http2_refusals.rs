//! Instances over HTTP/2 that refuse, go away, break off or take little.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::server::Builder;
use jairouter_tests::chat;
use jairouter_tests::client::{RawClient, ask, post};
use jairouter_tests::http2::between::{ANSWER, CHAT, answered, offering, status, streamed};
use jairouter_tests::http2::{Asked, Engine, Frame, Frames, Happened, Order, kind};
use jairouter_tests::tls::Authority;
use jairouter_tests::until;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// An instance that reads two requests on its first connection and goes away, having begun with this many of them; on
/// others it answers.
async fn going_away(authority: &Authority, begun: u32) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("it is bound").port());
    let (acceptor, asked) = (authority.acceptor(&["h2"]), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        for nth in 0.. {
            let (stream, _) = listener.accept().await.expect("somebody connects");
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let counted = Arc::clone(&counted);
            tokio::spawn(Box::pin(async move {
                let mut frames = Frames::accept(Box::new(stream)).await.expect("it is open");
                while let Some(head) = frames.until(kind::HEADERS).await {
                    let count = counted.fetch_add(1, Ordering::Relaxed) + 1;
                    if nth == 0 && count == 2 {
                        let last = if begun == 0 { 0 } else { 2 * begun - 1 };
                        let payload = [last.to_be_bytes(), [0; 4]].concat();
                        frames
                            .send(&[Frame::new(kind::GOAWAY, 0, 0, payload)])
                            .await
                            .expect("it is open");
                        return;
                    }
                    if nth > 0 {
                        // 200, and a type.
                        let answer = [&[0x88, 0x5f, 16], &b"application/json"[..]].concat();
                        let head_of =
                            Frame::new(kind::HEADERS, kind::END_HEADERS, head.stream, answer);
                        let body = Frame::new(kind::DATA, kind::END_STREAM, head.stream, ANSWER);
                        frames.send(&[head_of, body]).await.expect("it is open");
                    }
                }
            }));
        }
    });
    (url, asked)
}

#[tokio::test]
async fn what_an_instance_refuses_to_begin_with_is_asked_once_more_on_another_connection() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, |mut asked: Asked| async move {
        match asked.nth {
            1 => asked.reset(Reason::REFUSED_STREAM),
            _ => answered(asked).await,
        }
    })
    .await;
    let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[engine.url()]);
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, 200);
    }
    assert_eq!((engine.asked(), engine.connections()), (4, 2));

    let busy = Engine::start(&authority, |mut asked: Asked| async move {
        asked.reset(Reason::REFUSED_STREAM);
    })
    .await;
    let gateway = offering(&authority, "", &[busy.url()]);
    let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((answer.status, &*answer.code()), (503, "instance_busy"), "{}", answer.text());
    assert_eq!(busy.asked(), 2);
}

// fault: U32
#[tokio::test]
async fn an_instance_that_goes_away_finishes_what_it_has_and_is_asked_anew_elsewhere() {
    let authority = Authority::new();
    let told = Arc::new(Notify::new());
    let go_on = Arc::clone(&told);
    let engine = Engine::start(&authority, move |asked: Asked| {
        let go_on = Arc::clone(&go_on);
        async move {
            if asked.nth == 0 {
                asked.order(Order::Drain).await;
                streamed(asked, go_on).await;
            } else {
                answered(asked).await;
            }
        }
    })
    .await;
    let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[engine.url()]);
    let mut stays = RawClient::connect(gateway.address()).await;
    stays.post(CHAT, &chat("m", true)).await;
    stays.read_until("Hi").await;
    for _ in 0..10 {
        assert_eq!(status(&gateway).await, 200);
    }
    assert_eq!(engine.connections(), 2, "{:?}", engine.seen());
    told.notify_one();
    let whole = stays.answer().await;
    assert!(whole.complete && whole.text().contains("[DONE]"));
    until("it is closed", || engine.count(|seen| seen == Happened::Ended(0)) == 1).await;
}

#[tokio::test]
async fn what_an_instance_has_not_begun_with_as_it_goes_away_is_asked_once_more_and_what_it_has_is_broken()
 {
    let authority = Authority::new();
    for begun in 0..=2 {
        let (url, asked) = going_away(&authority, begun).await;
        let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[url]);
        let both = futures::future::join(status(&gateway), status(&gateway)).await;
        let broken = [both.0, both.1].into_iter().filter(|status| *status == 502).count();
        let good = [both.0, both.1].into_iter().filter(|status| *status == 200).count();
        assert_eq!((broken, good), (begun as usize, 2 - begun as usize), "{begun}");
        assert_eq!(asked.load(Ordering::Relaxed), 4 - begun as usize);
    }
}

#[tokio::test]
async fn an_instance_that_takes_one_request_at_a_time_is_asked_on_several_connections() {
    let authority = Authority::new();
    let now = Arc::new([(); 32].map(|()| AtomicUsize::new(0)));
    let counts = Arc::clone(&now);
    let mut how = Builder::new();
    let how = how.max_concurrent_streams(1);
    let engine = Engine::start_as(&authority, how, move |mut asked: Asked| {
        let counts = Arc::clone(&counts);
        async move {
            asked.body().await;
            let count = &counts[asked.connection];
            assert_eq!(count.fetch_add(1, Ordering::Relaxed), 0, "one at a time");
            tokio::time::sleep(Duration::from_millis(100)).await;
            count.fetch_sub(1, Ordering::Relaxed);
            asked.answer(200, ANSWER);
        }
    })
    .await;
    let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[engine.url()]);
    let all = futures::future::join_all((0..10).map(|_| status(&gateway))).await;
    assert_eq!(all, [200; 10]);
    assert_eq!(engine.asked(), 10);
    assert!(engine.connections() <= 10);
}

// fault: U31
#[tokio::test]
async fn a_connection_that_is_cut_breaks_what_is_on_it_unless_it_was_dead_before() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, |asked: Asked| async move {
        match asked.nth {
            // The first on its connection, and one of whose connection nothing has come since.
            0 | 2 => {
                asked.order(Order::Cut).await;
                std::future::pending::<()>().await;
            }
            _ => answered(asked).await,
        }
    })
    .await;
    let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[engine.url()]);
    for (status_of, asked, connections) in [(502, 1, 1), (200, 2, 2), (200, 4, 3)] {
        assert_eq!(status(&gateway).await, status_of);
        assert_eq!((engine.asked(), engine.connections()), (asked, connections));
    }
}

// fault: T1
#[tokio::test]
async fn one_that_agrees_and_says_nothing_is_given_up_in_the_time_to_connect() {
    let authority = Authority::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let silent = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let acceptor = authority.acceptor(&["h2"]);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(Box::pin(acceptor.accept(stream)).await);
        }
    });
    let engine = Engine::start(&authority, answered).await;
    let timeouts = "  timeouts: { connect: 300ms }\n";
    let alone = offering(&authority, timeouts, std::slice::from_ref(&silent));
    let answers = [(); 10].map(|()| ask(alone.address(), post(CHAT, &chat("m", false))));
    for answer in futures::future::join_all(answers).await {
        assert_eq!((answer.status, &*answer.code()), (502, "upstream_unreachable"));
    }
    let gateway = offering(&authority, timeouts, &[silent, engine.url()]);
    for _ in 0..3 {
        assert_eq!(status(&gateway).await, 200, "the other is asked");
    }
}

#[tokio::test]
async fn an_answer_that_is_reset_before_its_end_is_none() {
    let authority = Authority::new();
    let engine = Engine::start(&authority, |mut asked: Asked| async move {
        match asked.nth {
            0 => asked.reset(Reason::INTERNAL_ERROR),
            _ => {
                let mut stream = asked.begin(200, "application/json");
                stream.send_data(Bytes::from_static(b"{\"choices\":"), false).unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.send_reset(Reason::NO_ERROR);
            }
        }
    })
    .await;
    let gateway = offering(&authority, "", &[engine.url()]);
    let first = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((first.status, &*first.code()), (502, "upstream_broken"));
    let second = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert!(second.status == 502 || !second.complete, "{second:?}");
    assert_eq!((engine.asked(), engine.connections()), (2, 1));
}

#[tokio::test]
async fn an_instance_that_closes_its_connections_at_once_is_not_asked_for_ever() {
    let authority = Authority::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (acceptor, connected) = (authority.acceptor(&["h2"]), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connected);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            let Ok(stream) = Box::pin(acceptor.accept(stream)).await else { continue };
            tokio::spawn(Box::pin(async move {
                let mut frames = Frames::accept(Box::new(stream)).await.expect("it is open");
                let nothing = Frame::new(kind::GOAWAY, 0, 0, [0; 8]);
                // Or it is closed already.
                let _ = frames.send(&[nothing]).await;
                while frames.next().await.is_some() {}
            }));
        }
    });
    let gateway = offering(&authority, "  retry: { max-attempts: 1 }\n", &[url]);
    let answer = ask(gateway.address(), post(CHAT, &chat("m", false))).await;
    assert_eq!((answer.status, &*answer.code()), (502, "upstream_unreachable"));
    assert!(connected.load(Ordering::Relaxed) <= 6, "{connected:?}");
}
