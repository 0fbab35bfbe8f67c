//! A simulated inference engine: so many answers at a time, each as long as it has tokens, and others
//! wait in the engine. It is an HTTP client, so what asks it is the library's own `Upstream`.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use jairouter_core::{Body, Error, Kind, Payload};
use tokio::sync::{Notify, Semaphore};
use tokio::time::sleep;
use tower::Service;

/// From the place to the first token.
pub const PREFILL: Duration = Duration::from_millis(100);

/// From one token to the next, at speed 1.
pub const PER_TOKEN: Duration = Duration::from_millis(5);

/// How many answers an engine works on at a time.
pub const PLACES: usize = 8;

const FIRST: &[u8] = b"data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";

/// How an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It answers.
    Well,
    /// Nobody listens there. Answers that were under way have broken off.
    Gone,
    /// It answers so many of a hundred requests with 500, within a millisecond.
    Failing(u8),
}

/// One engine. Clones are the same.
#[derive(Debug, Clone)]
pub struct Engine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    places: Arc<Semaphore>,
    speed: f64,
    mood: Mutex<Mood>,
    /// Told when it is gone. Who waits hears of it in the order they came, whatever the run: tokio's `watch`
    /// draws lots of its own.
    gone: Notify,
    asked: AtomicU32,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

impl Engine {
    /// One that writes tokens this many times as fast as others.
    pub fn new(speed: f64) -> Self {
        let places = Arc::new(Semaphore::new(PLACES));
        let (mood, gone) = (Mutex::new(Mood::Well), Notify::new());
        Self(Arc::new(Inner { places, speed, mood, gone, asked: AtomicU32::new(0) }))
    }

    /// From now on it is like this.
    pub fn set(&self, mood: Mood) {
        *self.0.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
        if mood == Mood::Gone {
            self.0.gone.notify_waiters();
        }
    }

    fn mood(&self) -> Mood {
        *self.0.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests have come to it, whatever became of them. Probes are none.
    pub fn asked(&self) -> u32 {
        self.0.asked.load(Ordering::Relaxed)
    }

    async fn answer(self, tokens: u32) -> Result<Response<Body>, Error> {
        match self.mood() {
            Mood::Gone => return Err(refused().await),
            Mood::Failing(percent) if fastrand::u8(..100) < percent => {
                sleep(Duration::from_millis(1)).await;
                let mut failed = Response::new(Body::from("{\"error\":\"no\"}"));
                *failed.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(failed);
            }
            _ => {}
        }
        let places = Arc::clone(&self.0.places);
        let place = async {
            let place = places.acquire_owned().await;
            sleep(PREFILL.div_f64(self.0.speed)).await;
            place
        };
        let place = self.or_gone(place).await?;
        let decoding = PER_TOKEN.mul_f64(f64::from(tokens) / self.0.speed);
        let rest = Box::pin(async move {
            let ended = self.or_gone(sleep(decoding)).await;
            drop(place);
            ended.map(|()| Bytes::from_static(DONE))
        });
        let body = Answer { first: Some(Bytes::from_static(FIRST)), rest: Some(rest) };
        let mut response = Response::new(Body::new(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        Ok(response)
    }

    /// What this comes to, unless the engine is gone before.
    async fn or_gone<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let gone = self.0.gone.notified();
        // It may have gone since somebody looked.
        let is_gone = self.mood() == Mood::Gone;
        if is_gone {
            return Err(Error::new(Kind::Broken, "connection reset"));
        }
        match select(pin!(work), pin!(gone)).await {
            Either::Left((done, _)) => Ok(done),
            Either::Right(_) => Err(Error::new(Kind::Broken, "connection reset")),
        }
    }
}

async fn refused() -> Error {
    sleep(Duration::from_millis(1)).await;
    Error::new(Kind::Unreachable, "connection refused")
}

impl Service<Request<Payload>> for Engine {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        if request.method() == Method::GET {
            let gone = self.mood() == Mood::Gone;
            return Box::pin(async move {
                if gone { Err(refused().await) } else { Ok(Response::new(Body::empty())) }
            });
        }
        self.0.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(self.clone().answer(tokens(&request.body().to_bytes())))
    }
}

/// What a request for so many tokens looks like.
pub(crate) fn payload(tokens: u32) -> Bytes {
    format!(r#"{{"model":"m","stream":true,"max_tokens":{tokens}}}"#).into()
}

/// How many tokens were asked for: the last number there is.
fn tokens(payload: &[u8]) -> u32 {
    let digits = payload.iter().rev().skip(1).take_while(|byte| byte.is_ascii_digit());
    let (number, _) = digits.fold((0, 1), |(number, place), digit| {
        (number + u32::from(digit - b'0') * place, place * 10)
    });
    number
}

/// A first token, and the rest when it is there.
struct Answer<F> {
    first: Option<Bytes>,
    rest: Option<Pin<Box<F>>>,
}

impl<F> HttpBody for Answer<F>
where
    F: Future<Output = Result<Bytes, Error>>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let rest = ready!(rest.as_mut().poll(cx));
        self.rest = None;
        Poll::Ready(Some(rest.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_reads_what_is_asked_of_it() {
        assert_eq!([0, 7, 1230].map(|count| tokens(&payload(count))), [0, 7, 1230]);
    }
}
