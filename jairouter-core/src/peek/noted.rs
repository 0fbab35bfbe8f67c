//! What layers ask about a JSON payload beside its model: noted on the way, so that nobody reads all of it
//! again for a small field.

use std::ops::Range;

/// Fields that were met. What another reader would refuse is noted as such.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Noted {
    pub(crate) stream_options: Place,
    max_completion_tokens: Number,
    max_tokens: Number,
    n: Number,
}

/// Where the value of a field stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Place {
    #[default]
    Nowhere,
    At(Range<usize>),
    /// At several places.
    Twice,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Number {
    #[default]
    Absent,
    Null,
    Is(u64),
    /// It is given twice, or is no whole number.
    Unreadable,
}

/// How long an answer may be, and how many there are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) max_completion_tokens: Option<u64>,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) n: Option<u64>,
}

impl Noted {
    /// A field of the payload's outermost object, and where its value stands.
    pub(super) fn note(&mut self, key: &str, value: Range<usize>, payload: &[u8]) {
        let number = match key {
            "stream_options" => {
                self.stream_options = match self.stream_options {
                    Place::Nowhere => Place::At(value),
                    Place::At(_) | Place::Twice => Place::Twice,
                };
                return;
            }
            "max_completion_tokens" => &mut self.max_completion_tokens,
            "max_tokens" => &mut self.max_tokens,
            "n" => &mut self.n,
            _ => return,
        };
        *number = match (*number, serde_json::from_slice(&payload[value])) {
            (Number::Absent, Ok(Some(number))) => Number::Is(number),
            (Number::Absent, Ok(None)) => Number::Null,
            _ => Number::Unreadable,
        };
    }

    /// The bounds of the answer; nothing if any of them cannot be read.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        let read = |number| match number {
            Number::Absent | Number::Null => Some(None),
            Number::Is(number) => Some(Some(number)),
            Number::Unreadable => None,
        };
        Some(Bounds {
            max_completion_tokens: read(self.max_completion_tokens)?,
            max_tokens: read(self.max_tokens)?,
            n: read(self.n)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::super::json;
    use super::*;

    /// How a reader of all of it sees the same.
    #[derive(Deserialize)]
    struct Read<'a> {
        max_completion_tokens: Option<u64>,
        max_tokens: Option<u64>,
        n: Option<u64>,
        #[serde(borrow)]
        stream_options: Option<&'a RawValue>,
    }

    proptest! {
        #[test]
        fn what_is_noted_is_what_a_reader_of_all_of_it_sees(
            fields in prop::collection::vec((
                r"n|max_tokens|max_completion_tokens|stream_options|\\\\u006e|x",
                r#"null|true|"7"|-1|-0|7|7\.0|7e1|18446744073709551615|18446744073709551616|\{ "n": 1 \}|\[1\]"#,
            ), 0..6),
            gap in " ?",
        ) {
            let fields = fields.iter().map(|(key, value)| format!("{gap}\"{key}\"{gap}:{gap}{value},"));
            let payload = format!("{{{}\"model\":\"m\"}}", fields.collect::<String>());
            let noted = json(payload.as_bytes()).unwrap().noted;
            let read = serde_json::from_str::<Read<'_>>(&payload);
            match (read, noted.bounds(), noted.stream_options) {
                (Ok(read), Some(bounds), place) => {
                    let Read { max_completion_tokens, max_tokens, n, stream_options } = read;
                    prop_assert_eq!(bounds, Bounds { max_completion_tokens, max_tokens, n });
                    let stands = match place {
                        Place::At(at) => Some(&payload[at]).filter(|text| *text != "null"),
                        Place::Nowhere => None,
                        Place::Twice => return Err(TestCaseError::fail("it is read nevertheless")),
                    };
                    prop_assert_eq!(stands, stream_options.map(RawValue::get));
                }
                (Err(_), None, _) | (Err(_), _, Place::Twice) => {}
                (read, bounds, place) => {
                    prop_assert!(false, "{payload}: {} {bounds:?} {place:?}", read.is_ok());
                }
            }
        }
    }
}
