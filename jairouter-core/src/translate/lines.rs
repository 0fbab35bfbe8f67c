//! Lines of NDJSON, whatever the network did to the bytes.

use super::{LARGEST_MESSAGE, Message};
use crate::error::{Error, Kind};

/// Splits bytes into lines. A line inside one frame is not copied.
#[derive(Debug, Default)]
pub struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes the next bytes, and hands on each line they complete. Empty lines are skipped.
    ///
    /// # Errors
    ///
    /// What `each` returns, or [`Kind::Broken`] for a line over [`LARGEST_MESSAGE`].
    pub fn push(
        &mut self,
        mut bytes: &[u8],
        mut each: impl FnMut(Message<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            bytes = rest;
            if self.partial.is_empty() {
                hand_on(line, &mut each)?;
            } else {
                self.partial.extend_from_slice(line);
                let result = hand_on(&self.partial, &mut each);
                self.partial.clear();
                result?;
            }
        }
        grow(&mut self.partial, bytes)
    }

    /// The bytes are at their end: hands on a last line that has no line break.
    ///
    /// # Errors
    ///
    /// What `each` returns.
    pub fn finish(
        &mut self,
        mut each: impl FnMut(Message<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = std::mem::take(&mut self.partial);
        hand_on(&line, &mut each)
    }
}

fn hand_on(
    line: &[u8],
    each: &mut impl FnMut(Message<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let data = line.trim_ascii();
    if data.is_empty() { Ok(()) } else { each(Message { name: b"", data }) }
}

/// Appends within the bound of a message.
pub(super) fn grow(buffer: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Error> {
    if buffer.len() + bytes.len() > LARGEST_MESSAGE {
        return Err(Error::new(Kind::Broken, "the instance sent a message over 16 MiB"));
    }
    buffer.extend_from_slice(bytes);
    Ok(())
}
