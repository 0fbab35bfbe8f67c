use std::str::FromStr;
use std::time::Duration;

use crate::engine::Engine;

/// Why a URL is not one of a simulated engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidUrl(String);

impl FromStr for Engine {
    type Err = InvalidUrl;

    /// Reads `simulated://NAME?first-token=300ms&rate=20`. The settings, each at most once, are
    /// those of the [`Builder`](crate::Builder):
    ///
    /// | | |
    /// |---|---|
    /// | `first-token` | `500ms`, `2s`, `5m`, or a number of milliseconds |
    /// | `rate` | tokens a second; `0` or `none` for all at once |
    /// | `length` | tokens, from 1 |
    /// | `failure-rate` | 0 to 1 |
    /// | `failure` | a status, or `refuse`, `break`, `break-midway`, `stall`, `silent`, `error-event` |
    /// | `seed` | a number |
    /// | `concurrency` | requests, from 1 |
    /// | `models` | names, separated by commas |
    fn from_str(url: &str) -> Result<Self, InvalidUrl> {
        let rest = url
            .strip_prefix("simulated://")
            .ok_or_else(|| InvalidUrl("it does not begin with simulated://".into()))?;
        let query = rest.split_once('?').map_or("", |(_, query)| query);
        let mut builder = Self::builder();
        let mut seen = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) {
                return Err(InvalidUrl(format!("'{key}' is given twice")));
            }
            seen.push(key);
            let wrong = |allowed: &str| InvalidUrl(format!("{key}={value}: it must be {allowed}"));
            builder = match key {
                "first-token" => builder.first_token(duration(value).ok_or_else(|| {
                    wrong("a duration such as 500ms or 2s, or a number of milliseconds")
                })?),
                "rate" => builder.rate(match value {
                    "none" => 0.0,
                    _ => number(value, 0.0, f64::MAX)
                        .ok_or_else(|| wrong("a number of tokens a second, or none"))?,
                }),
                "length" => {
                    builder
                        .length(whole(value).ok_or_else(|| wrong("a number of tokens from 1"))?
                            as usize)
                }
                "failure-rate" => builder.failure_rate(
                    number(value, 0.0, 1.0).ok_or_else(|| wrong("a share from 0 to 1"))?,
                ),
                "failure" => builder.failure(value.parse().map_err(InvalidUrl)?),
                "seed" => builder.seed(value.parse().map_err(|_| wrong("a whole number"))?),
                "concurrency" => builder
                    .concurrency(whole(value).ok_or_else(|| wrong("a number of requests from 1"))?),
                "models" if !value.is_empty() => builder.models(value.split(',')),
                "models" => return Err(wrong("names, separated by commas")),
                _ => {
                    return Err(InvalidUrl(format!(
                        "no setting is called '{key}'; there are first-token, rate, length, \
                         failure-rate, failure, seed, concurrency, models"
                    )));
                }
            };
        }
        Ok(builder.build())
    }
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
    Duration::try_from_secs_f64(value.parse::<f64>().ok()? * seconds).ok()
}

fn number(text: &str, least: f64, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| (least..=most).contains(number))
}

fn whole(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}
