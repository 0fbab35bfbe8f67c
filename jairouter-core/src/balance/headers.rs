//! What an answer says of how it came about.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::state::InstanceState;
use crate::request::InferenceRequest;

/// Which instance answered.
const INSTANCE: HeaderName = HeaderName::from_static("x-jairouter-instance");

/// The model it was asked for, by the gateway's name.
const MODEL: HeaderName = HeaderName::from_static("x-jairouter-model");

/// How many instances have seen the request.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-jairouter-attempts");

/// The numbers there can be: see `MOST_ATTEMPTS`.
const NUMBERS: [&str; 9] = ["0", "1", "2", "3", "4", "5", "6", "7", "8"];

pub(super) fn write(
    headers: &mut HeaderMap,
    instance: &InstanceState,
    request: &InferenceRequest,
    attempts: usize,
) {
    if let Some(name) = instance.header() {
        headers.insert(INSTANCE, name.clone());
    }
    if let Ok(model) = HeaderValue::from_maybe_shared(request.model.shared()) {
        headers.insert(MODEL, model);
    }
    let number = NUMBERS.get(attempts).copied().unwrap_or("more");
    headers.insert(ATTEMPTS, HeaderValue::from_static(number));
}
