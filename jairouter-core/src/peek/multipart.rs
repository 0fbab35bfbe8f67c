//! The control fields of a `multipart/form-data` payload (RFC 7578), read where they stand.

use std::ops::Range;
use std::str;

use http::HeaderValue;
use memchr::memmem;

use super::{Noted, Peek, check_model, missing_model};
use crate::error::{Error, Kind};

/// The longest boundary RFC 2046 allows.
const LONGEST_BOUNDARY: usize = 70;

/// Reads the `model` and `stream` fields. Files are stepped over, not read.
pub(crate) fn multipart(content_type: Option<&HeaderValue>, payload: &[u8]) -> Result<Peek, Error> {
    let boundary = content_type
        .and_then(|value| value.to_str().ok())
        .and_then(boundary)
        .ok_or_else(|| invalid("its content type names no boundary"))?;
    let mut model: Option<Range<usize>> = None;
    let mut stream = None;
    for part in Parts::new(payload, &boundary)? {
        let Part { head, body } = part?;
        let field = name(&payload[head])?;
        if field.eq_ignore_ascii_case("model") {
            check_field("model", &field, model.is_some())?;
            model = Some(body);
        } else if field.eq_ignore_ascii_case("stream") {
            check_field("stream", &field, stream.is_some())?;
            stream = Some(flag(&payload[body])?);
        }
    }
    let span = model.ok_or_else(missing_model)?;
    let name = str::from_utf8(&payload[span.clone()])
        .map_err(|_| invalid("its 'model' is not UTF-8").with_param("model"))?;
    check_model(name)?;
    let noted = Noted::default();
    Ok(Peek { model: None, stream: stream.unwrap_or(false), span, noted })
}

fn check_field(field: &'static str, written: &str, seen: bool) -> Result<(), Error> {
    if seen || written != field {
        let message = format!("'{field}' is given twice, or in another case");
        return Err(Error::new(Kind::Invalid, message)
            .with_code("duplicate_field")
            .with_param(field));
    }
    Ok(())
}

fn flag(value: &[u8]) -> Result<bool, Error> {
    match value {
        b"true" | b"True" | b"1" => Ok(true),
        b"false" | b"False" | b"0" | b"" => Ok(false),
        _ => Err(Error::new(Kind::Invalid, "'stream' must be true or false")
            .with_code("invalid_value")
            .with_param("stream")),
    }
}

/// The boundary parameter of a content type, quoted or not, with its two leading dashes.
fn boundary(content_type: &str) -> Option<String> {
    let (_, parameters) = content_type.split_once(';')?;
    let value = parameters.split(';').find_map(|parameter| {
        let (key, value) = parameter.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case("boundary").then_some(value.trim())
    })?;
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    (1..=LONGEST_BOUNDARY).contains(&value.len()).then(|| format!("--{value}"))
}

/// One part: where its header lines and its body stand.
struct Part {
    head: Range<usize>,
    body: Range<usize>,
}

/// The parts between delimiters. A payload that does not end with the closing one is an error.
struct Parts<'a> {
    payload: &'a [u8],
    delimiter: memmem::Finder<'a>,
    length: usize,
    /// Behind the last delimiter; `None` after the closing one.
    at: Option<usize>,
}

impl<'a> Parts<'a> {
    fn new(payload: &'a [u8], boundary: &'a str) -> Result<Self, Error> {
        let delimiter = memmem::Finder::new(boundary.as_bytes());
        let start = delimiter.find(payload).ok_or_else(|| invalid("it has no part"))?;
        if start != 0 && !payload[..start].ends_with(b"\r\n") {
            return Err(invalid("its first boundary is not at the start of a line"));
        }
        let length = boundary.len();
        Ok(Self { payload, delimiter, length, at: Some(start + length) })
    }

    fn part(&mut self, at: usize) -> Result<Option<Part>, Error> {
        let rest = &self.payload[at..];
        if rest.starts_with(b"--") {
            self.at = None;
            return Ok(None);
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest[padding..].starts_with(b"\r\n") {
            return Err(invalid("a boundary is not followed by a line end"));
        }
        let head = at + padding;
        let blank = memmem::find(&self.payload[head..], b"\r\n\r\n")
            .ok_or_else(|| invalid("a part has no end to its headers"))?;
        let body = head + blank + 4;
        let mut search = body;
        // A delimiter is a boundary at the start of a line.
        let end = loop {
            let found = self.delimiter.find(&self.payload[search..]);
            let found = search + found.ok_or_else(|| invalid("it ends inside a part"))?;
            if self.payload[body - 2..found].ends_with(b"\r\n") {
                break found;
            }
            search = found + self.length;
        };
        self.at = Some(end + self.length);
        // An empty part ends on the line break of the blank line.
        Ok(Some(Part { head: head..head + blank, body: body..(end - 2).max(body) }))
    }
}

impl Iterator for Parts<'_> {
    type Item = Result<Part, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at?;
        let part = self.part(at);
        if part.is_err() {
            self.at = None;
        }
        part.transpose()
    }
}

/// The field's name, of the part's `Content-Disposition`. What two parsers could read differently is
/// refused: the engine's is another one.
fn name(head: &[u8]) -> Result<String, Error> {
    let head = str::from_utf8(head).map_err(|_| invalid("a part's headers are not UTF-8"))?;
    if head.replace("\r\n", "").contains(['\r', '\n', '\0']) {
        return Err(invalid("a part's headers hold half a line's end"));
    }
    let mut dispositions = head.split("\r\n").filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let disposition = dispositions.next().ok_or_else(|| invalid("a part has no name"))?;
    if dispositions.next().is_some() || head.contains("\r\n ") || head.contains("\r\n\t") {
        return Err(invalid("a part says twice what it is, or in several lines"));
    }
    if disposition.contains("\\\"") {
        return Err(invalid("a quote is escaped, which not everybody reads alike"));
    }
    let mut found = None;
    let mut rest = disposition;
    while let Some((_, parameters)) = rest.split_once(';') {
        let (key, value) = parameters.split_once('=').unwrap_or((parameters, ""));
        let value = value.trim_start();
        let (text, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| invalid("a quote is open"))?,
            None => value.split_at(value.find(';').unwrap_or(value.len())),
        };
        let key = key.trim();
        if key.len() >= 5 && key.as_bytes()[..5].eq_ignore_ascii_case(b"name*") {
            return Err(invalid("a name is given in an extended form"));
        }
        if key.eq_ignore_ascii_case("name") && found.replace(text.trim().to_owned()).is_some() {
            return Err(invalid("a part has two names"));
        }
        rest = after;
    }
    found.ok_or_else(|| invalid("a part has no name"))
}

fn invalid(reason: &str) -> Error {
    Error::new(Kind::Invalid, format!("the form cannot be read: {reason}"))
        .with_code("invalid_multipart")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(body: &str) -> Result<(String, bool), String> {
        let header = HeaderValue::from_static("multipart/form-data; boundary=XX");
        match multipart(Some(&header), body.as_bytes()) {
            Ok(peek) => Ok((body[peek.span].to_owned(), peek.stream)),
            Err(error) => Err(error.code().to_owned()),
        }
    }

    fn part(name: &str, value: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    }

    #[test]
    fn the_model_is_read_where_it_stands_and_files_are_stepped_over() {
        let file = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model;a\"\r\n\
                    Content-Type: audio/wav\r\n\r\nRIFF--XX name=\"model\"\r\n";
        let form =
            format!("{file}{}{}--XX--\r\n", part("model", "whisper"), part("stream", "true"));
        assert_eq!(peek(&form), Ok(("whisper".into(), true)));
        let unquoted = "--XX\r\ncontent-disposition: form-data; name=model\r\n\r\nw\r\n--XX--";
        assert_eq!(peek(unquoted), Ok(("w".into(), false)));
    }

    #[test]
    fn a_boundary_may_be_quoted_and_follow_other_parameters() {
        for value in ["multipart/form-data; charset=utf-8; boundary=\"a b\"", "x;Boundary=\"a b\""]
        {
            assert_eq!(boundary(value).as_deref(), Some("--a b"), "{value}");
        }
        for value in ["multipart/form-data", "x; boundary=", "x; boundary=\"\""] {
            assert_eq!(boundary(value), None, "{value}");
        }
    }

    // fault: B9, B10, B15
    #[test]
    fn a_form_two_parsers_could_read_differently_is_refused() {
        let two = format!("{}{}--XX--", part("model", "a"), part("model", "b"));
        assert_eq!(peek(&two).unwrap_err(), "duplicate_field");
        let cased = format!("{}{}--XX--", part("model", "a"), part("Model", "b"));
        assert_eq!(peek(&cased).unwrap_err(), "duplicate_field");
        let empty = format!("{}--XX--", part("model", ""));
        assert_eq!(peek(&empty).unwrap_err(), "invalid_value");
        let none = format!("{}--XX--", part("file", "x"));
        assert_eq!(peek(&none).unwrap_err(), "missing_required_parameter");
    }

    // fault: B9
    #[test]
    fn a_part_that_two_parsers_could_call_differently_is_refused() {
        for head in [
            "Content-Disposition: form-data; name=\"q\"; name=\"model\"",
            "Content-Disposition: form-data; name=\"q\"\r\nContent-Disposition: form-data; name=\"model\"",
            r#"Content-Disposition: form-data; x="a\"; name=q; y=\""; name="model""#,
            "Content-Disposition: form-data; name=q; name*=UTF-8''model",
            "Content-Disposition: form-data; name=q\r\n ; name=model",
            "X: y\nContent-Disposition: form-data; name=model\r\nContent-Disposition: form-data; name=q",
        ] {
            let form = format!("{}--XX\r\n{head}\r\n\r\nother\r\n--XX--", part("model", "a"));
            assert_eq!(peek(&form).unwrap_err(), "invalid_multipart", "{head}");
        }
        let file = r#"Content-Disposition: form-data; name="file"; filename="C:\a.wav"; filename*=UTF-8''a"#;
        let form = format!("{}--XX\r\n{file}\r\n\r\nRIFF\r\n--XX--", part("model", "a"));
        assert!(peek(&form).is_ok());
    }

    #[test]
    fn a_form_cut_anywhere_is_refused() {
        let form = format!("{}{}--XX--", part("model", "a"), part("file", "data"));
        for cut in 0..form.len() - 2 {
            assert!(peek(&form[..cut]).is_err(), "cut at {cut}");
        }
        assert!(peek(&form).is_ok());
    }
}
