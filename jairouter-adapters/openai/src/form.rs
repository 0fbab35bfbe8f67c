//! Forms (`multipart/form-data`) with a field more, each other byte where it is.

use bytes::{BufMut, BytesMut};
use http::header::CONTENT_TYPE;
use jairouter_core::translate::find;
use jairouter_core::{InferenceRequest, Payload};

/// How many fields of this name a form has.
///
/// It is looked for where it stands, quoted or not; files are not parsed, and one that holds such a
/// line counts.
pub fn count(request: &InferenceRequest, name: &str) -> usize {
    let mut rest = &request.payload[..];
    let mut count = 0;
    while let Some(at) = find(rest, b"name=") {
        // `filename` is another.
        let is_whole = at > 0 && matches!(rest[at - 1], b' ' | b';' | b'\t');
        rest = &rest[at + b"name=".len()..];
        let value = rest.strip_prefix(b"\"").unwrap_or(rest);
        let is_it = value.strip_prefix(name.as_bytes()).is_some_and(|behind| {
            matches!(behind.first(), Some(b'"' | b';' | b'\r' | b'\n' | b' ') | None)
        });
        count += usize::from(is_whole && is_it);
    }
    count
}

/// The form with these fields in front of its own.
pub fn with_fields(request: &InferenceRequest, fields: &[(&str, &str)]) -> Payload {
    let Some((at, delimiter)) = delimiter(request) else { return request.form() };
    let mut form = BytesMut::with_capacity(128 * fields.len());
    for (name, value) in fields {
        form.put_slice(delimiter);
        form.put_slice(b"\r\nContent-Disposition: form-data; name=\"");
        form.put_slice(name.as_bytes());
        form.put_slice(b"\"\r\n\r\n");
        form.put_slice(value.as_bytes());
        form.put_slice(b"\r\n");
    }
    request.form().with_inserted(at, form.freeze())
}

/// Where the first delimiter stands, and what it is: the line that the content type names.
fn delimiter(request: &InferenceRequest) -> Option<(usize, &[u8])> {
    let kind = request.headers.get(CONTENT_TYPE)?.as_bytes();
    let payload = &request.payload[..];
    let mut at = 0;
    loop {
        at += find(&payload[at..], b"--")?;
        // Elsewhere it is no delimiter, and its line may be long.
        if at == 0 || payload[..at].ends_with(b"\r\n") {
            let line = payload[at..].split(|byte| *byte == b'\r').next()?.trim_ascii_end();
            if line.len() > 2 && find(kind, &line[2..]).is_some() {
                return Some((at, line));
            }
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use jairouter_core::Endpoint;

    use super::*;

    fn request(payload: &'static str) -> InferenceRequest {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, "multipart/form-data; boundary=\"X-Y\"".parse().unwrap());
        InferenceRequest::new(Endpoint::Transcriptions, headers, payload.into()).unwrap()
    }

    const FORM: &str = "--X-Y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
        --X-Y\r\nContent-Disposition: form-data; filename=\"a\"; name=file\r\n\r\nRIFF--\r\n--X-Y--\r\n";

    #[test]
    fn a_field_more_leaves_the_others_where_they_are_and_is_read_back() {
        let request = request(FORM);
        let form =
            with_fields(&request, &[("response_format", "json"), ("stream", "true")]).to_bytes();
        assert!(form.ends_with(FORM.as_bytes()), "{form:?}");
        let again = InferenceRequest::new(request.endpoint, request.headers.clone(), form).unwrap();
        assert!(again.stream && *again.model == *"m");
        assert_eq!(count(&again, "response_format"), 1);
    }

    #[test]
    fn fields_are_counted_by_their_whole_names() {
        let request = request(FORM);
        for (name, expected) in [("model", 1), ("file", 1), ("fil", 0), ("a", 0), ("image[]", 0)] {
            assert_eq!(count(&request, name), expected, "{name}");
        }
    }

    #[test]
    fn what_stands_in_front_of_the_form_stays_there() {
        let request = request(
            "--not\r\n--X-Y\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--X-Y--",
        );
        let form = with_fields(&request, &[("a", "b")]).to_bytes();
        assert!(form.starts_with(b"--not\r\n--X-Y\r\n") && count(&request, "model") == 1);
        let again = InferenceRequest::new(request.endpoint, request.headers.clone(), form);
        assert_eq!(&*again.unwrap().model, "m");
    }
}
