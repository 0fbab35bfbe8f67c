//! The control fields of a JSON payload.

use std::borrow::Cow;
use std::str;

use super::scan::{Fault, Scanner, Text};
use super::{Noted, Peek, check_model, missing_model};
use crate::error::{Error, Kind};

/// Reads the model and the stream flag of a JSON object, validating all of it.
pub(crate) fn json(payload: &[u8]) -> Result<Peek, Error> {
    read(payload).map_err(|error| match str::from_utf8(payload) {
        Ok(_) => error,
        // Whatever else is wrong with it.
        Err(error) => invalid(Fault { at: error.valid_up_to() }),
    })
}

/// Whether this is one JSON text, to `serde_json` as well; of some that are to that it is not told here: those that
/// hold what no UTF-8 can, and deep ones.
pub(crate) fn is_json(text: &[u8]) -> bool {
    let mut scanner = Scanner::new(text);
    let is_value = scanner.value().is_ok();
    scanner.gap();
    is_value && scanner.peek().is_none()
}

fn read(payload: &[u8]) -> Result<Peek, Error> {
    let mut scanner = Scanner::new(payload);
    scanner.gap();
    if scanner.peek() != Some(b'{') {
        let message = "the request body must be a JSON object";
        return Err(Error::new(Kind::Invalid, message).with_code("invalid_json"));
    }
    let mut found = Found::default();
    members(&mut scanner, payload, &mut found)?;
    scanner.gap();
    if scanner.peek().is_some() {
        return Err(invalid(scanner.fault()));
    }
    let (model, span) = found.model.ok_or_else(missing_model)?;
    Ok(Peek { model, stream: found.stream.unwrap_or(false), span, noted: found.noted })
}

#[derive(Default)]
struct Found {
    model: Option<(Option<String>, std::ops::Range<usize>)>,
    stream: Option<bool>,
    noted: Noted,
}

fn members(scanner: &mut Scanner<'_>, payload: &[u8], found: &mut Found) -> Result<(), Error> {
    scanner.open(b'{').map_err(invalid)?;
    scanner.gap();
    if scanner.peek() == Some(b'}') {
        return scanner.close(b'}').map_err(invalid);
    }
    loop {
        let key = scanner.key().map_err(invalid)?;
        match &*decoded(payload, &key) {
            "model" => {
                if found.model.is_some() {
                    return Err(duplicate("model"));
                }
                found.model = Some(model(scanner, payload)?);
            }
            "stream" => {
                if found.stream.is_some() {
                    return Err(duplicate("stream"));
                }
                found.stream = Some(stream(scanner, payload)?);
            }
            other => {
                if let Some(control) = folds_to_control(other) {
                    return Err(misspelt(control));
                }
                let value = scanner.value().map_err(invalid)?;
                found.noted.note(other, value, payload);
            }
        }
        scanner.gap();
        match scanner.peek() {
            Some(b',') => scanner.expect(b',').map_err(invalid)?,
            _ => return scanner.close(b'}').map_err(invalid),
        }
    }
}

fn model(
    scanner: &mut Scanner<'_>,
    payload: &[u8],
) -> Result<(Option<String>, std::ops::Range<usize>), Error> {
    scanner.gap();
    if scanner.peek() != Some(b'"') {
        let value = scanner.value().map_err(invalid)?;
        return Err(if &payload[value] == b"null" {
            missing_model()
        } else {
            Error::new(Kind::Invalid, "'model' must be a string")
                .with_code("invalid_value")
                .with_param("model")
        });
    }
    let text = scanner.text().map_err(invalid)?;
    let name = decoded(payload, &text);
    check_model(&name)?;
    Ok((text.escaped.then(|| name.into_owned()), text.span))
}

fn stream(scanner: &mut Scanner<'_>, payload: &[u8]) -> Result<bool, Error> {
    let value = scanner.value().map_err(invalid)?;
    match &payload[value] {
        b"true" => Ok(true),
        b"false" | b"null" => Ok(false),
        _ => Err(Error::new(Kind::Invalid, "'stream' must be true or false")
            .with_code("invalid_value")
            .with_param("stream")),
    }
}

/// The text of a string token.
fn decoded<'a>(payload: &'a [u8], text: &Text) -> Cow<'a, str> {
    let token = &payload[text.span.clone()];
    if text.escaped {
        // The scanner has checked every escape.
        Cow::Owned(serde_json::from_slice(token).unwrap_or_default())
    } else {
        Cow::Borrowed(str::from_utf8(&token[1..token.len() - 1]).unwrap_or_default())
    }
}

/// The control field this key would be to a parser that ignores case (Go's, in Ollama): folding
/// takes U+017F, the long s, for an s.
fn folds_to_control(key: &str) -> Option<&'static str> {
    // 6 letters of at most 2 bytes each: longer or shorter keys need no folding.
    if !(5..=12).contains(&key.len()) {
        return None;
    }
    ["model", "stream"].into_iter().find(|control| {
        let folded = key.chars().flat_map(char::to_lowercase);
        folded.map(|c| if c == 'ſ' { 's' } else { c }).eq(control.chars())
    })
}

fn invalid(fault: Fault) -> Error {
    let message = format!("the request body is not valid JSON at byte {}", fault.at);
    Error::new(Kind::Invalid, message).with_code("invalid_json")
}

fn duplicate(field: &'static str) -> Error {
    Error::new(Kind::Invalid, format!("'{field}' is given twice"))
        .with_code("duplicate_field")
        .with_param(field)
}

fn misspelt(field: &'static str) -> Error {
    let message = format!("a key differs from '{field}' only in case, and engines disagree on it");
    Error::new(Kind::Invalid, message).with_code("duplicate_field").with_param(field)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn code(payload: impl AsRef<[u8]>) -> Result<String, String> {
        match json(payload.as_ref()) {
            Ok(peek) => Ok(peek.model.unwrap_or_else(|| {
                let span = peek.span.start + 1..peek.span.end - 1;
                String::from_utf8(payload.as_ref()[span].to_vec()).unwrap()
            })),
            Err(error) => Err(error.code().to_owned()),
        }
    }

    #[test]
    fn the_model_is_found_wherever_it_stands() {
        for payload in [
            r#"{"model":"a"}"#,
            r#" { "messages" : [ { "model" : "x" } , [] , {} ] , "model" : "a" } "#,
            r#"{"x":{"model":"b"},"\u006dodel":"\u0061","stream":null}"#,
            r#"{"seed":18446744073709551616,"t":1e999,"z":-0,"model":"a","stream":true}"#,
        ] {
            assert_eq!(code(payload).as_deref(), Ok("a"), "{payload}");
        }
        assert!(json(br#"{"model":"a","stream":true}"#).unwrap().stream);
    }

    // fault: B1, B2
    #[test]
    fn what_is_not_a_json_object_is_refused() {
        for payload in [
            "",
            " ",
            "null",
            "[]",
            "\"x\"",
            "{",
            "{}}",
            "{\"model\"",
            "{\"model\":\"a\",}",
            "{\"model\":\"a\"} x",
            "{model:\"a\"}",
            "{\"model\":\"a\" \"b\":1}",
            "{\"model\":\"a\"",
            "{\"model\":'a'}",
            "{\"a\":01,\"model\":\"a\"}",
            "{\"a\":1.,\"model\":\"a\"}",
            "{\"a\":tru,\"model\":\"a\"}",
            "{\"a\":[1,],\"model\":\"a\"}",
            "{\"model\":\"a\n\"}",
        ] {
            assert_eq!(code(payload).unwrap_err(), "invalid_json", "{payload}");
        }
    }

    // fault: B7
    #[test]
    fn nesting_is_bounded_and_a_bomb_does_not_reach_the_stack() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
            format!(r#"{{"a":{open}{close},"model":"a"}}"#)
        };
        assert_eq!(code(nested(127)).as_deref(), Ok("a"));
        assert_eq!(code(nested(128)).as_deref(), Ok("a"));
        assert_eq!(code(nested(129)).unwrap_err(), "invalid_json");
        assert_eq!(code(nested(1_000_000)).unwrap_err(), "invalid_json");
    }

    // fault: B9, B10, B11
    #[test]
    fn a_control_field_given_twice_in_any_spelling_is_refused() {
        for payload in [
            r#"{"model":"a","model":"b"}"#,
            r#"{"model":"a","\u006dodel":"b"}"#,
            r#"{"model":"a","Model":"b"}"#,
            r#"{"MODEL":"b","model":"a"}"#,
            r#"{"model":"a","ſtream":true}"#,
            r#"{"model":"a","\u017ftream":true}"#,
            r#"{"model":"a","stream":false,"stream":true}"#,
        ] {
            assert_eq!(code(payload).unwrap_err(), "duplicate_field", "{payload}");
        }
        assert_eq!(code(r#"{"model":"a","models":[],"modal":1}"#).as_deref(), Ok("a"));
    }

    // fault: B12
    #[test]
    fn what_is_not_unicode_is_refused() {
        let bad: [&[u8]; 8] = [
            b"{\"model\":\"\xff\"}",
            b"{\"model\":\"\xc0\xaf\"}",
            b"{\"\x80\":1,\"model\":\"a\"}",
            b"{\"model\":\"a\",\"x\":\"\xed\xa0\x80\"}",
            br#"{"model":"a","x":"\ud800"}"#,
            br#"{"model":"a","x":"\udc00\ud800"}"#,
            b"\xef\xbb\xbf{\"model\":\"a\"}",
            b"{\0\"\0m\0",
        ];
        for payload in bad {
            assert_eq!(code(payload).unwrap_err(), "invalid_json", "{payload:?}");
        }
        assert_eq!(code(r#"{"model":"a","x":"\ud83d\ude00"}"#).as_deref(), Ok("a"));
    }

    // fault: B15
    #[test]
    fn a_model_is_a_short_string() {
        let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(1 << 20));
        for (payload, expected) in [
            ("{}", "missing_required_parameter"),
            (r#"{"model":null}"#, "missing_required_parameter"),
            (r#"{"model":1}"#, "invalid_value"),
            (r#"{"model":["a"]}"#, "invalid_value"),
            (r#"{"model":""}"#, "invalid_value"),
            (r#"{"model":"a\u0000"}"#, "invalid_value"),
            (long.as_str(), "invalid_value"),
            (r#"{"model":"a","stream":1}"#, "invalid_value"),
            (r#"{"model":"a","stream":"true"}"#, "invalid_value"),
        ] {
            assert_eq!(code(payload).unwrap_err(), expected, "{payload:.40}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            "\\PC{0,20}|[\"\\\\\n\t/]{0,9}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map("\\PC{0,12}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Whatever else the object holds, and however it is written.
        #[test]
        fn any_object_with_a_model_is_read_as_serde_reads_it(
            extra in prop::collection::hash_map("\\PC{13,16}", any_json(), 0..6),
            name in "[a-zé:\\\\\"/]{1,12}", pretty: bool, stream: bool,
        ) {
            let mut object: serde_json::Map<_, _> = extra.into_iter().collect();
            object.insert("model".into(), name.clone().into());
            object.insert("stream".into(), stream.into());
            let text = if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                serde_json::to_string(&object).unwrap()
            };
            let peek = json(text.as_bytes()).unwrap();
            prop_assert_eq!(peek.stream, stream);
            let read: String = serde_json::from_str(&text[peek.span]).unwrap();
            prop_assert_eq!(read, name);
        }

        /// Nothing is taken that serde refuses, and nothing panics.
        #[test]
        fn whatever_is_taken_is_json_to_serde_too(
            seed in any_json(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let object = serde_json::json!({"model": "a", "x": seed});
            let mut bytes = serde_json::to_vec(&object).unwrap();
            let meddled = !cuts.is_empty();
            for (index, byte) in cuts {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            for text in [&bytes[..], &bytes[5..], &bytes[..bytes.len() - 1]] {
                let serde = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
                prop_assert!(serde || !is_json(text));
                // What was not meddled with is.
                prop_assert!(is_json(text) || !serde || text.len() < bytes.len() || meddled);
            }
            // `IgnoredAny` does not range-check numbers, which we pass through unread too.
            let serde = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            if json(&bytes).is_ok() {
                prop_assert!(serde);
            }
        }
    }
}
