//! One question to one instance: how are you?

use crate::payload::Payload;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};

use crate::body::Body;
use crate::error::{Error, Kind};
use crate::refusal;

/// How much of an answer is read.
const LARGEST_ANSWER: usize = 64 * 1024;

/// What a probe has found. See the [module](super) for which answer is which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It is well.
    Good,
    /// It answers that it has too much to do.
    Busy,
    /// It answers that the probe's key is not good.
    Unauthorized,
    /// There was no connection.
    Refused,
    /// It answers that it is not well, or nothing that makes sense.
    Failed,
    /// It did not answer in time.
    TimedOut,
}

/// Sends a probe and sees it through, until this instant at the latest.
///
/// Dropping it closes the probe's connection.
pub(super) async fn probe<C, R>(
    client: &mut C,
    request: Request<Payload>,
    deadline: Instant,
) -> Outcome
where
    C: Service<Request<Payload>, Response = Response<R>>,
    C::Error: Into<Error>,
    R: Into<Body>,
{
    let asked = async {
        let answer = client.ready().await.map_err(Into::into)?.call(request).await;
        let (parts, body) = answer.map_err(Into::into)?.into_parts();
        Ok(verdict(&Response::from_parts(parts, read(body.into()).await?)))
    };
    match timeout_at(deadline, asked).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => blame(&error),
        Err(_) => Outcome::TimedOut,
    }
}

fn verdict(answer: &Response<Bytes>) -> Outcome {
    match answer.status() {
        status if status.is_success() => Outcome::Good,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Outcome::Good,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::Unauthorized,
        StatusCode::TOO_MANY_REQUESTS => Outcome::Busy,
        // "Overloaded", in Anthropic's API.
        status if status.as_u16() == 529 => Outcome::Busy,
        StatusCode::SERVICE_UNAVAILABLE if says_busy(answer) => Outcome::Busy,
        _ => Outcome::Failed,
    }
}

/// Whether a 503 is of too much to do. Xinference sends `Retry-After` while it loads a model, too.
fn says_busy(answer: &Response<Bytes>) -> bool {
    let says_loading = || {
        let mut words = answer.body().windows(b"loading".len());
        words.any(|word| word.eq_ignore_ascii_case(b"loading"))
    };
    refusal::classify(answer).kind() == Kind::Busy && !says_loading()
}

fn blame(error: &Error) -> Outcome {
    match error.kind() {
        Kind::Unreachable => Outcome::Refused,
        Kind::Timeout => Outcome::TimedOut,
        _ => Outcome::Failed,
    }
}

/// A body, or its beginning if it is too long: that is enough to know of it.
async fn read(mut body: Body) -> Result<Bytes, Error> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let free = LARGEST_ANSWER - read.len();
        read.extend_from_slice(&data[..data.len().min(free)]);
        if data.len() > free {
            break;
        }
    }
    Ok(read.into())
}
