//! Refusals, with the statuses of OpenAI's API where engines have others.

use bytes::Bytes;
use http::{Response, StatusCode};
use jairouter_core::{Error, Kind, refusal};

/// An unsuccessful answer as an [`Error`], as [`refusal::classify`] reads it, and:
///
/// * 424, which is the engine's own failure by another number, is 502;
/// * 422, which Python's frameworks say of a request that is wrong, is 400;
/// * 500 is 502: it is not the gateway that failed;
/// * 501 is what an instance has not been started for, and another may have been:
///   [`Kind::Unsupported`].
pub fn refusal(answer: &Response<Bytes>) -> Error {
    if answer.status() == StatusCode::FAILED_DEPENDENCY {
        let mut answer = answer.clone();
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        return refusal::classify(&answer);
    }
    let error = refusal::classify(answer);
    match answer.status() {
        StatusCode::UNPROCESSABLE_ENTITY => error.with_status(StatusCode::BAD_REQUEST),
        StatusCode::INTERNAL_SERVER_ERROR => error.with_status(StatusCode::BAD_GATEWAY),
        StatusCode::NOT_IMPLEMENTED => {
            let message = "the instance does not offer what was asked";
            let unsupported =
                Error::new(Kind::Unsupported, message).with_status(StatusCode::NOT_IMPLEMENTED);
            match error.answer() {
                Some(envelope) => unsupported.with_answer(envelope.clone()),
                None => unsupported,
            }
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_instance_was_not_started_for_is_no_failure_of_it() {
        for (status, kind, outward) in [
            (422, Kind::Rejected, 400),
            (424, Kind::Failed, 502),
            (500, Kind::Failed, 502),
            (501, Kind::Unsupported, 501),
            (503, Kind::Failed, 503),
        ] {
            let answer = Response::builder().status(status).body(r#"{"error":"no"}"#.into());
            let error = refusal(&answer.unwrap());
            assert_eq!((error.kind(), error.status().as_u16()), (kind, outward), "{status}");
            assert!(error.answer().is_some(), "its words are told");
        }
    }
}
