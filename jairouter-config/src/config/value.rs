//! Scalars: what a text means where a kind of value is expected.

use std::time::Duration;

type Result<T> = std::result::Result<T, String>;

pub(super) fn flag(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err(format!("'{text}' is neither true nor false")),
    }
}

/// A whole number within bounds, both included.
pub(super) fn whole(text: &str, least: u64, most: u64) -> Result<u64> {
    match text.parse::<u64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ if most == u64::MAX => Err(format!("'{text}' is not a whole number of at least {least}")),
        _ => Err(format!("'{text}' is not a whole number from {least} to {most}")),
    }
}

/// A number above zero, which may have a fraction.
pub(super) fn positive(text: &str) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err(format!("'{text}' is not a number above 0")),
    }
}

/// The longest duration taken: a year. A clock can be set so far ahead, and nobody waits longer.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Milliseconds, or a number with a unit: `ms`, `s`, `m` or `h`. A year at most.
///
/// # Errors
///
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration> {
    let wrong = || {
        format!("'{text}' is not a duration: give milliseconds, or a unit as in 500ms, 2s, 5m, 1h")
    };
    let (number, unit) = split(text);
    let seconds = match unit {
        "" | "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_| wrong())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        _ => Err(format!("'{text}' is longer than a year")),
    }
}

/// A duration that is not over before it begins.
pub(super) fn timeout(text: &str) -> Result<Duration> {
    match duration(text)? {
        Duration::ZERO => Err("a timeout of 0 would fail every request".into()),
        timeout => Ok(timeout),
    }
}

/// Bytes, or a number with a unit of 1024 or its powers.
pub(super) fn size(text: &str) -> Result<usize> {
    let wrong =
        || format!("'{text}' is not a size: give bytes, or a unit as in 512KiB, 32MiB, 1GiB");
    let (number, unit) = split(text);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(wrong()),
    };
    let number: usize = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(1 << shift) {
        None | Some(0) => Err(wrong()),
        Some(bytes) => Ok(bytes),
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_or_are_milliseconds() {
        for (text, millis) in
            [("0", 0), ("250", 250), ("500ms", 500), ("2s", 2000), ("1.5 s", 1500), ("5m", 300_000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1d", "1e3", "1..5s", "soon", "8761h", "999999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(timeout("0").is_err());
    }

    #[test]
    fn sizes_have_a_unit_or_are_bytes() {
        for (text, bytes) in [("7", 7), ("512KiB", 512 << 10), ("32MB", 32 << 20), ("1 g", 1 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "-1", "1.5M", "1TiB", "99999999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
