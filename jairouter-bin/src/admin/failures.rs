//! The last requests that failed, for whoever asks why.

use std::collections::VecDeque;
use std::sync::Mutex;

use jairouter_core::observe::Exchange;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// How many are kept.
const MOST: usize = 100;

/// A request that failed. There is nothing of its prompt or its answer in it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    /// When it was over, in RFC 3339.
    at: String,
    /// `x-request-id`.
    request_id: Option<Box<str>>,
    service: &'static str,
    model: Box<str>,
    /// What its caller got.
    status: u16,
    /// `error.code`.
    error: &'static str,
    /// Who asked, if that is known.
    key: Option<Box<str>>,
    /// The instance whose answer it was.
    instance: Option<Box<str>>,
    /// In milliseconds.
    duration: u64,
    attempts: Vec<FailedAttempt>,
}

/// An instance that was asked in vain.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FailedAttempt {
    instance: Box<str>,
    error: &'static str,
    /// In milliseconds.
    duration: u64,
}

/// The last ones. A request that fails while somebody looks is not among them: it waits for nobody.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<Failure>>);

impl Failures {
    pub(crate) fn tell(&self, exchange: &Exchange) {
        let (Some(kind), Ok(mut kept)) = (exchange.error, self.0.try_lock()) else { return };
        if kept.len() == MOST {
            kept.pop_back();
        }
        let attempts = exchange.attempts.iter().map(|attempt| FailedAttempt {
            instance: attempt.instance.clone(),
            error: attempt.kind.code(),
            duration: millis(attempt.took),
        });
        kept.push_front(Failure {
            at: Timestamp::now().to_string(),
            request_id: exchange.request_id.clone(),
            service: exchange.endpoint.service_type().as_str(),
            model: exchange.model.clone(),
            status: exchange.status.as_u16(),
            error: kind.code(),
            key: exchange.principal.as_deref().map(Into::into),
            instance: exchange.instance.clone(),
            duration: millis(exchange.total),
            attempts: attempts.collect(),
        });
    }

    /// The newest first.
    pub(crate) fn recent(&self) -> Vec<Failure> {
        let kept = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        kept.iter().cloned().collect()
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
