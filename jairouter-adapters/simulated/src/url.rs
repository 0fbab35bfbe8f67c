//! An engine and its settings as a base URL.

use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::engine::Engine;
use crate::failure::Failure;
use crate::settings::{Builder, FASTEST, LONGEST, LONGEST_DELAY, SLOWEST};

const SCHEME: &str = "simulated://";

/// Why a URL is not one of a simulated engine: everything that is wrong with it, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

impl FromStr for Engine {
    type Err = InvalidUrl;

    /// Reads `simulated://NAME?first-token=300ms&rate=20`. The settings, each at most once and
    /// percent-encoded where need be, are those of the [`Builder`]:
    ///
    /// | | |
    /// |---|---|
    /// | `first-token` | `500ms`, `2s`, `5m`, or a number of milliseconds; at most an hour |
    /// | `rate` | tokens a second, 0.001 to 1000000; `0` or `none` for all at once |
    /// | `length` | tokens, 1 to 1000000 |
    /// | `failure-rate` | 0 to 1 |
    /// | `failure` | a status from 400 to 599, or `refuse`, `break`, `break-midway`, `stall`, `silent`, `error-event` |
    /// | `seed` | a whole number |
    /// | `concurrency` | requests, from 1 |
    /// | `models` | names, separated by commas |
    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let Some(rest) = url.strip_prefix(SCHEME) else {
            return Err(InvalidUrl(format!("it does not begin with {SCHEME}")));
        };
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (name, path) = place.split_once('/').unwrap_or((place, ""));
        let mut faults = Vec::new();
        if name.is_empty() {
            faults.push(format!("a name is missing after {SCHEME}"));
        }
        if !matches!(path.trim_end_matches('/'), "" | "v1") {
            faults.push(format!("the path /{path} leads nowhere: it must be /v1 or nothing"));
        }
        let mut builder = Self::builder();
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) {
                faults.push(format!("{key} is given twice"));
                continue;
            }
            seen.push(key);
            let value = percent_decode_str(value).decode_utf8_lossy();
            match set(builder.clone(), key, &value) {
                Ok(changed) => builder = changed,
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(builder.build()) } else { Err(InvalidUrl(faults.join("; "))) }
    }
}

/// The settings with this one changed, or what is wrong with it.
fn set(builder: Builder, key: &str, value: &str) -> Result<Builder, String> {
    let (changed, allowed) = match key {
        "first-token" => (
            duration(value).map(|delay| builder.first_token(delay)),
            "a duration such as 500ms, 2s or 5m, or a number of milliseconds; at most an hour",
        ),
        "rate" => (
            rate(value).map(|rate| builder.rate(rate)),
            "tokens a second from 0.001 to 1000000, or 0 or none for all at once",
        ),
        "length" => (
            whole(value, LONGEST).map(|tokens| builder.length(tokens)),
            "a number of tokens from 1 to 1000000",
        ),
        "failure-rate" => (
            number(value, 0.0, 1.0).map(|share| builder.failure_rate(share)),
            "a share from 0 to 1",
        ),
        "failure" => (
            Failure::named(value).map(|failure| builder.failure(failure)),
            "a status from 400 to 599, or refuse, break, break-midway, stall, silent or error-event",
        ),
        "seed" => {
            (value.parse().ok().map(|seed| builder.seed(seed)), "a whole number, not negative")
        }
        "concurrency" => (
            whole(value, u32::MAX as usize).map(|limit| builder.concurrency(limit as u32)),
            "a number of requests, at least 1",
        ),
        "models" => (
            value.split(',').all(|name| !name.is_empty()).then(|| builder.models(value.split(','))),
            "names, separated by commas",
        ),
        _ => {
            return Err(format!(
                "there is no setting {key}: there are first-token, rate, length, failure-rate, \
                 failure, seed, concurrency and models"
            ));
        }
    };
    changed.ok_or_else(|| format!("{key}={value}: it must be {allowed}"))
}

fn duration(text: &str) -> Option<Duration> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (value, unit) = text.split_at(end);
    let seconds = match unit {
        "" | "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        _ => return None,
    };
    let delay = Duration::try_from_secs_f64(value.parse::<f64>().ok()? * seconds).ok()?;
    (delay <= LONGEST_DELAY).then_some(delay)
}

fn rate(text: &str) -> Option<f64> {
    if text == "none" {
        return Some(0.0);
    }
    number(text, 0.0, 0.0).or_else(|| number(text, SLOWEST, FASTEST))
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn whole(text: &str, most: usize) -> Option<usize> {
    text.parse().ok().filter(|number| (1..=most).contains(number))
}
