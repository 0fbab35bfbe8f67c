//! Ids of tool calls. Gemini signs its calls, and wants the signature back with the next request;
//! clients keep little more of a call than its id, so that is where it travels.
//!
//! `gemini_`, 16 digits that are one of a kind, `_`, the length of what follows first, `_`, Gemini's
//! own id for the call and its signature, both in the URL-safe alphabet of base64: letters that every
//! other API takes in an id, should the conversation move on to it.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use jairouter_openai::answer::random;

/// What an id of ours tells of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// Gemini's own id, if it gave one.
    pub(crate) own: Option<String>,
    pub(crate) signature: Option<String>,
}

/// An id for a call with this id of Gemini's own and this signature, either of which may be empty.
pub(crate) fn write(own: &str, signature: &str) -> String {
    let unique = random();
    let own = BASE64_URL_SAFE_NO_PAD.encode(own);
    let signature = bytes(signature).map(|bytes| BASE64_URL_SAFE_NO_PAD.encode(bytes));
    let signature = signature.unwrap_or_default();
    if own.is_empty() && signature.is_empty() {
        return format!("call_{unique:016x}");
    }
    format!("gemini_{unique:016x}_{}_{own}{signature}", own.len())
}

/// What an id tells; nothing if it is not one of these.
pub(crate) fn read(id: &str) -> Told {
    try_read(id).unwrap_or_default()
}

fn try_read(id: &str) -> Option<Told> {
    let (_, rest) = id.strip_prefix("gemini_")?.split_once('_')?;
    let (length, rest) = rest.split_once('_')?;
    let (own, signature) = rest.split_at_checked(length.parse().ok()?)?;
    let own = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(own).ok()?).ok()?;
    let signature = BASE64_STANDARD.encode(BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?);
    let filled = |text: String| (!text.is_empty()).then_some(text);
    Some(Told { own: filled(own), signature: filled(signature) })
}

/// A signature's bytes, in whichever alphabet it came.
fn bytes(signature: &str) -> Option<Vec<u8>> {
    let bare = signature.trim_end_matches('=');
    let bytes = BASE64_STANDARD_NO_PAD.decode(bare).ok();
    bytes.or_else(|| BASE64_URL_SAFE_NO_PAD.decode(bare).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_what_it_was_told() {
        for (own, signature) in [
            ("", "dG9vbGNhbGxzaWduYXR1cmU="),
            ("call-7", ""),
            ("é/_", "+/+/"),
            ("8f2b1a3c", "YWI="),
            ("", ""),
        ] {
            let id = write(own, signature);
            let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            assert!(id.chars().all(is_safe), "{id}");
            assert_ne!(id, write(own, signature), "each is one of a kind");
            let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            assert_eq!(read(&id), Told { own: filled(own), signature: filled(signature) });
        }
        assert_eq!(read(&write("", "-_-_")).signature.as_deref(), Some("+/+/"), "the same bytes");
        assert_eq!(
            read(&write("a", "not base64!")),
            Told { own: Some("a".into()), signature: None }
        );
    }

    #[test]
    fn an_id_of_others_tells_nothing() {
        for id in [
            "call_1",
            "toolu_01",
            "gemini_",
            "gemini_0_9_a",
            "gemini_0_x_a",
            "gemini_0_1_é",
            "gemini_0_0_!",
            "gemini_0_99999999999999999999_",
            "",
        ] {
            assert_eq!(read(id), Told::default(), "{id}");
        }
    }
}
