//! What a caller is told of its limits, as OpenAI's API does.

use std::time::Duration;

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::limiter::{Quota, Unit};

const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// The names for a unit: limit, remaining, reset. In statics, so that nothing is checked or copied anew.
type Names = [HeaderName; 3];

static REQUESTS: Names = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];

static TOKENS: Names = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

/// `x-ratelimit-limit-…`, `-remaining-…` and `-reset-…`.
pub(crate) fn quota(headers: &mut HeaderMap, quota: Quota) {
    let [limit, remaining, reset] = match quota.unit {
        Unit::Requests => &REQUESTS,
        Unit::Tokens => &TOKENS,
    };
    headers.insert(limit.clone(), HeaderValue::from(quota.limit));
    headers.insert(remaining.clone(), HeaderValue::from(quota.remaining));
    if let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(written(quota.reset))) {
        headers.insert(reset.clone(), value);
    }
}

/// `retry-after` in whole seconds, at least 1, and `retry-after-ms`, which the official SDKs prefer.
pub(crate) fn retry_after(headers: &mut HeaderMap, after: Duration) {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    let millis = after.as_nanos().div_ceil(1_000_000).clamp(1, u64::MAX.into()) as u64;
    headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
}

/// A duration as OpenAI writes it: `20ms`, `8.64s`, `6m0s`. Never less than it is.
fn written(duration: Duration) -> String {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    let (seconds, rest) = (millis / 1000, millis % 1000);
    match seconds {
        0 => below_a_second(millis as u16),
        1..60 if rest == 0 => format!("{seconds}s"),
        1..60 => format!("{seconds}.{}s", format!("{rest:03}").trim_end_matches('0')),
        _ => {
            let seconds = millis.div_ceil(1000);
            format!("{}m{}s", seconds / 60, seconds % 60)
        }
    }
}

/// As nearly every one is written: without the machinery of a format, and no longer than it is, since the
/// value of a header would need another allocation for what is left over.
fn below_a_second(millis: u16) -> String {
    let digits = [millis / 100, millis / 10 % 10, millis % 10];
    let zeros = digits.iter().take(2).take_while(|digit| **digit == 0).count();
    let mut written = String::with_capacity(digits.len() - zeros + "ms".len());
    written.extend(digits[zeros..].iter().map(|digit| char::from(b'0' + *digit as u8)));
    written.push_str("ms");
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_openai_does_and_never_too_short() {
        for (micros, expected) in [
            (0, "0ms"),
            (1, "1ms"),
            (20_000, "20ms"),
            (100_000, "100ms"),
            (507_000, "507ms"),
            (999_000, "999ms"),
            (999_001, "1s"),
            (1_000_000, "1s"),
            (8_640_000, "8.64s"),
            (8_640_001, "8.641s"),
            (59_999_001, "1m0s"),
            (360_000_000, "6m0s"),
            (3_600_000_001, "60m1s"),
        ] {
            assert_eq!(written(Duration::from_micros(micros)), expected);
        }
    }

    // fault: L10
    #[test]
    fn retry_after_is_at_least_a_second_and_its_millis_are_exact() {
        for (micros, seconds, millis) in
            [(0, "1", "1"), (1500, "1", "2"), (1_000_000, "1", "1000"), (1_000_001, "2", "1001")]
        {
            let mut headers = HeaderMap::new();
            retry_after(&mut headers, Duration::from_micros(micros));
            assert_eq!(headers[RETRY_AFTER], seconds);
            assert_eq!(headers[RETRY_AFTER_MS], millis);
        }
    }
}
