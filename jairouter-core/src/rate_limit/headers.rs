//! What a caller is told of its limits, as OpenAI's API does.

use std::ops::Range;
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

/// `x-ratelimit-limit-…`, `-remaining-…` and `-reset-…` of each, unless something tighter is there already.
pub(crate) fn quotas(headers: &mut HeaderMap, quotas: impl Iterator<Item = Quota>) {
    let mut quotas = quotas.peekable();
    if quotas.peek().is_none() {
        return;
    }
    // All values are parts of one text, since each would be two allocations of its own.
    let mut text = String::with_capacity(UNITS * LONGEST);
    let mut values: [Option<(&HeaderName, Range<usize>)>; UNITS * 3] = [const { None }; _];
    let mut free = values.iter_mut();
    for quota in quotas {
        let names = match quota.unit {
            Unit::Requests => &REQUESTS,
            Unit::Tokens => &TOKENS,
        };
        let there = headers.get(&names[1]).and_then(|left| left.to_str().ok()?.parse().ok());
        if there.is_some_and(|left: u64| left <= quota.remaining) {
            continue;
        }
        for (nth, name) in names.iter().enumerate() {
            let start = text.len();
            match nth {
                0 => text.push_str(itoa::Buffer::new().format(quota.limit)),
                1 => text.push_str(itoa::Buffer::new().format(quota.remaining)),
                _ => write(quota.reset, &mut text),
            }
            if let Some(free) = free.next() {
                *free = Some((name, start..text.len()));
            }
        }
    }
    let text = Bytes::from(text);
    for (name, at) in values.into_iter().flatten() {
        if let Ok(value) = HeaderValue::from_maybe_shared(text.slice(at)) {
            headers.insert(name, value);
        }
    }
}

/// How many units there are.
const UNITS: usize = 2;

/// What the values of a unit take as a rule, in bytes.
const LONGEST: usize = 24;

/// `retry-after` in whole seconds, at least 1, and `retry-after-ms`, which the official SDKs prefer.
pub(crate) fn retry_after(headers: &mut HeaderMap, after: Duration) {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    let millis = after.as_nanos().div_ceil(1_000_000).clamp(1, u64::MAX.into()) as u64;
    headers.insert(RETRY_AFTER_MS, HeaderValue::from(millis));
}

/// A duration as OpenAI writes it: `20ms`, `8.64s`, `6m0s`. Never less than it is.
fn write(duration: Duration, text: &mut String) {
    let mut number = |number: u64| text.push_str(itoa::Buffer::new().format(number));
    let millis = duration.as_nanos().div_ceil(1_000_000).min(u64::MAX.into()) as u64;
    let (seconds, rest) = (millis / 1000, millis % 1000);
    match seconds {
        0 => {
            number(millis);
            text.push_str("ms");
        }
        1..60 => {
            number(seconds);
            if rest > 0 {
                let digits = format!("{rest:03}");
                text.push('.');
                text.push_str(digits.trim_end_matches('0'));
            }
            text.push('s');
        }
        _ => {
            let seconds = millis.div_ceil(1000);
            number(seconds / 60);
            text.push('m');
            text.push_str(itoa::Buffer::new().format(seconds % 60));
            text.push('s');
        }
    }
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
            let mut text = String::new();
            write(Duration::from_micros(micros), &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn of_what_two_layers_have_to_say_the_tighter_counts() {
        let left = |remaining| Quota::new(Unit::Requests, 100, remaining, Duration::ZERO);
        for (inner, outer, told) in [(3, 90, "3"), (90, 3, "3"), (5, 5, "5")] {
            let mut headers = HeaderMap::new();
            quotas(&mut headers, [left(inner)].into_iter());
            let tokens = Quota::new(Unit::Tokens, 7, 7, Duration::ZERO);
            quotas(&mut headers, [left(outer), tokens].into_iter());
            assert_eq!(headers["x-ratelimit-remaining-requests"], told, "{inner} {outer}");
            assert_eq!(headers["x-ratelimit-remaining-tokens"], "7");
            assert_eq!(headers.len(), 6);
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
