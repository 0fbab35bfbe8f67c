//! `traceparent` and `tracestate`, as they come and as they go (W3C Trace Context, level 1).

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::ids::{SpanId, TraceId};
use super::{TRACEPARENT, TRACESTATE};

/// The length of a `traceparent` of version 00.
const LENGTH: usize = 55;

/// How much of `tracestate` is passed on: the recommendation asks for 512 characters at least, and allows
/// 32 entries. A longer one is left out as a whole: what is passed on is what came.
const LONGEST_STATE: usize = 512;
const MOST_ENTRIES: usize = 32;

/// What a caller says of its trace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) id: TraceId,
    pub(super) parent: SpanId,
    pub(super) sampled: bool,
    /// Whether there is a `tracestate` that may be passed on.
    pub(super) state: bool,
}

impl Context {
    /// That of these headers, if there is exactly one and it is fit. A `tracestate` means nothing without.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut given = headers.get_all(TRACEPARENT).iter();
        let (Some(parent), None) = (given.next(), given.next()) else { return None };
        let (id, parent, sampled) = parse(parent.as_bytes())?;
        Some(Self { id, parent, sampled, state: has_fit_state(headers) })
    }
}

fn parse(text: &[u8]) -> Option<(TraceId, SpanId, bool)> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let number = |from: usize, to: usize| number(&known[from..to]);
    let version = number(0, 2)?;
    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        // A later version may say more, behind another dash.
        _ => rest.first().is_none_or(|next| *next == b'-'),
    };
    let dashes = [2, 35, 52].into_iter().all(|at| known[at] == b'-');
    if !(is_whole && dashes) {
        return None;
    }
    let id = TraceId::from_u128(number(3, 35)?)?;
    let parent = SpanId::from_u64(number(36, 52)? as u64)?;
    Some((id, parent, number(53, 55)? & 1 == 1))
}

/// At most 32 digits; small letters alone are digits here.
fn number(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

fn has_fit_state(headers: &HeaderMap) -> bool {
    let (mut length, mut entries) = (0, 0);
    for value in headers.get_all(TRACESTATE) {
        length += value.len() + 1;
        entries += 1 + memchr::memchr_iter(b',', value.as_bytes()).count();
        if value.to_str().is_err() {
            return false;
        }
    }
    (1..=MOST_ENTRIES).contains(&entries) && length <= LONGEST_STATE + 1
}

/// Two digits for each byte, as far as there is room.
pub(crate) fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    let (pairs, _) = digits.as_chunks_mut();
    for ([high, low], byte) in pairs.iter_mut().zip(bytes) {
        let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
        (*high, *low) = (digit(byte >> 4), digit(byte & 15));
    }
}

/// Version 00, whatever came: the flags of another one may mean something else.
pub(super) fn traceparent(id: TraceId, span: SpanId, sampled: bool) -> HeaderValue {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&id.to_u128().to_be_bytes(), &mut text[3..35]);
    write_hex(&span.to_u64().to_be_bytes(), &mut text[36..52]);
    text[54] += u8::from(sampled);
    // Digits and dashes are fit for a header.
    let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text));
    value.unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(parents: &[&str], states: &[&str]) -> Option<Context> {
        let mut headers = HeaderMap::new();
        for parent in parents {
            headers.append(TRACEPARENT, HeaderValue::from_bytes(parent.as_bytes()).unwrap());
        }
        for state in states {
            headers.append(TRACESTATE, HeaderValue::from_bytes(state.as_bytes()).unwrap());
        }
        Context::of(&headers)
    }

    #[test]
    fn what_is_fit_is_taken_of_every_version_and_goes_out_as_version_00() {
        for (given, sampled) in [
            (GIVEN.to_owned(), true),
            (GIVEN.replace("-01", "-00"), false),
            (GIVEN.replace("-01", "-03"), true),
            (GIVEN.replace("-01", "-fe"), false),
            (format!("01{}", &GIVEN[2..]), true),
            (format!("cc{}-what-is-to-come", &GIVEN[2..]), true),
            (format!("fe{}-", &GIVEN[2..]), true),
        ] {
            let context = of(&[&given], &[]).expect(&given);
            assert_eq!(context.sampled, sampled, "{given}");
            let sent = traceparent(context.id, context.parent, context.sampled);
            let flags = if sampled { "01" } else { "00" };
            assert_eq!(sent, format!("{}{flags}", &GIVEN[..53]));
        }
    }

    #[test]
    fn what_is_malformed_doubled_or_zero_is_no_context() {
        let zero_trace = GIVEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32));
        let zero_span = GIVEN.replace("b7ad6b7169203331", &"0".repeat(16));
        for given in [
            "",
            "00",
            &GIVEN[..54],
            &format!("{GIVEN}-"),
            &format!("{GIVEN}0"),
            &format!("01{}0", &GIVEN[2..]),
            &format!("ff{}", &GIVEN[2..]),
            &format!("0g{}", &GIVEN[2..]),
            &GIVEN.replace('-', "_"),
            &GIVEN.replace("-01", "-0x"),
            &GIVEN.to_uppercase(),
            &format!(" {}", &GIVEN[..54]),
            &zero_trace,
            &zero_span,
            &"é".repeat(40),
        ] {
            assert_eq!(of(&[given], &["a=1"]), None, "{given}");
        }
        assert_eq!(of(&[], &["a=1"]), None);
        assert_eq!(of(&[GIVEN, GIVEN], &[]), None);
    }

    #[test]
    fn a_state_is_passed_on_if_it_is_of_a_bounded_length() {
        let state = |states: &[&str]| of(&[GIVEN], states).unwrap().state;
        assert!(!state(&[]));
        assert!(state(&["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"]));
        assert!(state(&["a=1", "b=2"]));
        let (full, over) = ("a".repeat(512), "a".repeat(513));
        assert!(state(&[&full]) && !state(&[&over]));
        assert!(!state(&[&full[..300], &full[..300]]), "together they are too long");
        let entries = |count: usize| vec!["a=1"; count].join(",");
        assert!(state(&[&entries(32)]) && !state(&[&entries(33)]));
        assert!(!state(&["a=é"]));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn what_goes_out_is_taken_as_what_it_was(id in 1_u128.., span in 1_u64.., sampled: bool) {
            let (id, span) = (TraceId::from_u128(id).unwrap(), SpanId::from_u64(span).unwrap());
            let sent = traceparent(id, span, sampled);
            proptest::prop_assert_eq!(parse(sent.as_bytes()), Some((id, span, sampled)));
        }
    }
}
