//! Where an answer ends (RFC 9112, sections 6 and 7).

use bytes::Bytes;

use super::Fault;

/// How much of extensions and of trailers an answer may have, which nobody reads.
const MOST_UNREAD: usize = 16 * 1024;

/// What is left of an answer, as its head has it delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks(Chunks),
    /// All that comes until the connection ends.
    Connection,
}

/// Where in its chunks an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    at: At,
    /// What is left of this chunk, or what has come of its size.
    left: u64,
    /// What has come of extensions and trailers.
    unread: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// In front of a size, of which there is a digit at least.
    Size,
    Digits,
    /// Behind a size, in blanks.
    Blank,
    Extension,
    /// Between the two bytes of the line's end of a size.
    SizeEnd,
    Data,
    /// In front of the line's end of a chunk, and in it.
    DataEnd,
    DataEnded,
    /// In front of a line of trailers, or of the empty line that ends them.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// In the empty line.
    End,
    Over,
    /// Where no chunks are.
    Lost,
}

impl Chunks {
    pub(super) const NEW: Self = Self { at: At::Size, left: 0, unread: 0 };

    /// One byte that is no data.
    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.at = match (self.at, byte) {
            (At::Size | At::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = self.left.checked_mul(16).ok_or(Fault::Invalid)?;
                self.left = size + digit;
                At::Digits
            }
            (At::Digits | At::Blank, b' ' | b'\t') => At::Blank,
            (At::Digits | At::Blank, b';') => At::Extension,
            (At::Digits | At::Blank | At::Extension, b'\r') => At::SizeEnd,
            (At::Extension, other) if other != b'\n' => {
                self.read_none()?;
                At::Extension
            }
            (At::SizeEnd, b'\n') if self.left == 0 => At::Trailer,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataEnd, b'\r') => At::DataEnded,
            (At::DataEnded, b'\n') => At::Size,
            (At::Trailer, b'\r') => At::End,
            (At::End, b'\n') => At::Over,
            (At::TrailerValue, b'\r') => At::TrailerEnd,
            (At::TrailerEnd, b'\n') => At::Trailer,
            (At::Trailer | At::TrailerName, byte) if is_of_a_name(byte) => {
                self.read_none()?;
                At::TrailerName
            }
            (At::TrailerName, b':') => At::TrailerValue,
            (At::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.read_none()?;
                At::TrailerValue
            }
            _ => return Err(Fault::Invalid),
        };
        Ok(())
    }

    fn read_none(&mut self) -> Result<(), Fault> {
        self.unread += 1;
        if self.unread > MOST_UNREAD { Err(Fault::Invalid) } else { Ok(()) }
    }
}

/// What RFC 9110, section 5.6.2, calls a `tchar`.
fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl Framing {
    /// Whether all of it has come.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunks(chunks) => chunks.at == At::Over,
            Self::Connection => false,
        }
    }

    /// How many bytes are left, if that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunks(_) => self.is_over().then_some(0),
            Self::Connection => None,
        }
    }

    /// The connection has ended.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self {
            Self::Connection => {
                *self = Self::Length(0);
                Ok(())
            }
            _ if self.is_over() => Ok(()),
            _ => Err(Fault::Cut),
        }
    }

    /// Whether what has come after the data that was taken is none of an answer.
    pub(super) fn fault(&self) -> Option<Fault> {
        matches!(self, Self::Chunks(Chunks { at: At::Lost, .. })).then_some(Fault::Invalid)
    }

    /// Takes the data out of what has come, and how much of that is the answer's.
    pub(super) fn take(&mut self, input: &[u8]) -> (Bytes, usize) {
        let chunks = match self {
            Self::Connection => return (Bytes::copy_from_slice(input), input.len()),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                return (Bytes::copy_from_slice(&input[..length]), length);
            }
            Self::Chunks(chunks) => chunks,
        };
        let (mut at, mut first, mut more) = (0, &input[..0], Vec::new());
        while at < input.len() && !matches!(chunks.at, At::Over | At::Lost) {
            if chunks.at != At::Data {
                if chunks.step(input[at]).is_err() {
                    // What came before it is data all the same.
                    chunks.at = At::Lost;
                }
                at += 1;
                continue;
            }
            let length = usize::try_from(chunks.left).unwrap_or(usize::MAX).min(input.len() - at);
            let data = &input[at..at + length];
            at += length;
            chunks.left -= length as u64;
            if chunks.left == 0 {
                chunks.at = At::DataEnd;
            }
            if first.is_empty() {
                first = data;
            } else {
                if more.is_empty() {
                    more.reserve(first.len() + input.len() - at + length);
                    more.extend_from_slice(first);
                }
                more.extend_from_slice(data);
            }
        }
        let data = if more.is_empty() { Bytes::copy_from_slice(first) } else { more.into() };
        (data, at)
    }
}
