//! Server-sent events (the WHATWG HTML standard, section 9.2), whatever the network did to the bytes.

use super::Message;
use super::lines::grow;
use crate::error::Error;

/// Splits bytes into events. Lines end with LF, CR or CRLF, mixed as the sender likes.
#[derive(Debug, Default)]
pub struct Events {
    /// A line whose end has not come.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// Whether the event has a data field, since an empty one counts.
    has_data: bool,
    /// Whether the last byte was a CR, so that an LF belongs to it.
    after_cr: bool,
    /// Whether a first line has been seen, in front of which a byte order mark may stand.
    begun: bool,
}

impl Events {
    /// Takes the next bytes, and hands on each event they complete. Comments, ids, retry times and
    /// events without data are skipped.
    ///
    /// # Errors
    ///
    /// What `each` returns, or [`Kind::Broken`](crate::Kind::Broken) for an event over
    /// [`LARGEST_MESSAGE`](super::LARGEST_MESSAGE).
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Message<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end..]);
            bytes = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                rest => &rest[1..],
            };
            if self.line.is_empty() {
                self.take_line(line, &mut each)?;
            } else {
                grow(&mut self.line, line)?;
                let line = std::mem::take(&mut self.line);
                self.take_line(&line, &mut each)?;
                // Keeps the allocation for the next partial line.
                self.line = line;
                self.line.clear();
            }
        }
        grow(&mut self.line, bytes)
    }

    fn take_line(
        &mut self,
        mut line: &[u8],
        each: &mut impl FnMut(Message<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            return self.dispatch(each);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                grow(&mut self.data, value)?;
            }
            b"event" => {
                self.name.clear();
                grow(&mut self.name, value)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(
        &mut self,
        each: &mut impl FnMut(Message<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let result = if self.has_data {
            each(Message { name: &self.name, data: &self.data })
        } else {
            Ok(())
        };
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        result
    }
}

pub(crate) fn is_break(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Whether the line break that ends at `at` (inclusive) ends a blank line.
fn ends_blank_line(bytes: &[u8], at: usize) -> bool {
    let before = if bytes[at] == b'\n' && at > 0 && bytes[at - 1] == b'\r' { 2 } else { 1 };
    at >= before && is_break(bytes[at - before])
}

/// The offset behind the last blank line.
pub(crate) fn last_blank_line(bytes: &[u8]) -> Option<usize> {
    memchr::memrchr2_iter(b'\n', b'\r', bytes)
        .find(|at| ends_blank_line(bytes, *at))
        .map(|at| at + 1)
}

/// The offset behind the first blank line.
pub(crate) fn first_blank_line(bytes: &[u8]) -> Option<usize> {
    let at = memchr::memchr2_iter(b'\n', b'\r', bytes).find(|at| ends_blank_line(bytes, *at))?;
    // A carriage return may be the first half of its line break.
    let whole = bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n');
    Some(at + 1 + usize::from(whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Events::default();
        let mut seen = Vec::new();
        for chunk in chunks {
            events
                .push(chunk, |message| {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    seen.push((text(message.name), text(message.data)));
                    Ok(())
                })
                .unwrap();
        }
        seen
    }

    // fault: U23
    #[test]
    fn every_framing_of_the_field_is_read_alike_wherever_it_is_cut() {
        let odd: [&[u8]; 6] = [
            b"data: {\"a\":1}\n\ndata: [DONE]\n\n",
            b"\xef\xbb\xbf: ping\r\n\r\ndata:{\"a\":1}\r\n\r\ndata:[DONE]\r\n\r\n",
            b"id: 7\rdata: {\"a\":1}\r\rdata: [DONE]\r\r",
            b"retry: 1\n\n\n\ndata: {\"a\":1}\n\r\ndata: [DONE]\r\n\n",
            b"nonsense\ndata: {\"a\":1}\nDATA: x\n\ndata: [DONE]\n\ndata: cut",
            b"event\ndata: {\"a\":1}\n\nevent:\ndata: [DONE]\n\n",
        ];
        for bytes in odd {
            for cut in 0..=bytes.len() {
                let seen = split(&[&bytes[..cut], &bytes[cut..]]);
                let data: Vec<_> = seen.iter().map(|(_, data)| data.as_str()).collect();
                assert_eq!(data, ["{\"a\":1}", "[DONE]"], "{bytes:?} cut at {cut}");
            }
            let single: Vec<_> = bytes.chunks(1).collect();
            assert_eq!(split(&single).len(), 2, "{bytes:?} byte by byte");
        }
    }

    #[test]
    fn names_and_lines_of_data_belong_to_their_event() {
        let bytes = b"event: a\ndata: 1\ndata: 2\n\ndata\n\nevent: lost\n\ndata: 3\n\n";
        let expected = [("a", "1\n2"), ("", ""), ("", "3")];
        let seen = split(&[bytes]);
        assert_eq!(seen, expected.map(|(name, data)| (name.to_owned(), data.to_owned())));
    }
}
