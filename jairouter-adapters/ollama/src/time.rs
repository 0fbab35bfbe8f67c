//! Ollama's time stamps (RFC 3339) as seconds since 1970.

/// The seconds, or 0 if this is no time stamp.
pub(crate) fn seconds(stamp: &str) -> u64 {
    parse(stamp).and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0)
}

fn parse(stamp: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<i64>().ok();
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    let local = days * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(local - offset(stamp.get(19..)?)?)
}

/// What local time is ahead of UTC, in seconds; the fraction in front of it is skipped.
fn offset(rest: &str) -> Option<i64> {
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let sign = match zone.chars().next()? {
        'Z' | 'z' => return Some(0),
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_stamp_is_read_in_any_zone() {
        for (stamp, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2025-10-26T17:15:24.097767Z", 1_761_498_924),
            ("2023-08-04T08:52:19.385406455-07:00", 1_691_164_339),
            ("2024-02-29T23:59:59+05:30", 1_709_231_399),
            ("", 0),
            ("2025-13-01T00:00:00Z", 0),
            ("2025-10-26 later", 0),
            ("1900-01-01T00:00:00Z", 0),
        ] {
            assert_eq!(seconds(stamp), expected, "{stamp}");
        }
    }
}
