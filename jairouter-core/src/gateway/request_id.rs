//! The id a request is known by in every log line, error and answer.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::trace::{random, write_hex};

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The caller's id if it is fit for a log line, or a new one, which the headers then hold: for what
/// a server answers in the gateway's place.
pub fn request_id(headers: &mut HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(REQUEST_ID).iter();
    if let (Some(id), None) = (given.next(), given.next())
        && is_fit(id.as_bytes())
    {
        return id.clone();
    }
    let id = new();
    headers.insert(REQUEST_ID, id.clone());
    id
}

fn is_fit(id: &[u8]) -> bool {
    (1..=128).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// 128 random bits, in hexadecimal.
fn new() -> HeaderValue {
    let mut id = [0; 32];
    let (high, low) = id.split_at_mut(16);
    write_hex(&random().to_be_bytes(), high);
    write_hex(&random().to_be_bytes(), low);
    // Hexadecimal digits are fit for a header.
    let id = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&id));
    id.unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // fault: P17
    #[test]
    fn an_id_that_is_fit_is_kept_and_any_other_replaced() {
        let long = "a".repeat(129);
        let table =
            [("Az09._-", true), ("a b", false), ("a\tb", false), ("", false), (&long, false)];
        for (given, kept) in table {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, given.parse().unwrap());
            let id = request_id(&mut headers);
            assert_eq!(id == given, kept, "{given}");
            assert_eq!(headers[REQUEST_ID], id);
            assert!(is_fit(id.as_bytes()));
        }
        let mut two = HeaderMap::new();
        two.append(REQUEST_ID, HeaderValue::from_static("a"));
        two.append(REQUEST_ID, HeaderValue::from_static("b"));
        let id = request_id(&mut two);
        assert_eq!(two.get_all(REQUEST_ID).iter().collect::<Vec<_>>(), [id]);
    }
}
