//! A strict JSON scanner (RFC 8259) that finds where values stand and builds none of them.
//!
//! What it takes is UTF-8. Beyond the grammar it refuses nesting deeper than 128 levels, one more
//! than `serde_json` reads into a `Value`, and escapes of lone surrogates, which no UTF-8 text can hold.

use std::ops::Range;

use super::{numbers, text};

/// The deepest nesting taken; the root object is the first level.
pub(super) const DEEPEST: u32 = 128;

/// Where the input stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault {
    /// Byte offset.
    pub(super) at: usize,
}

/// A string token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// From its opening quote to behind its closing one.
    pub(super) span: Range<usize>,
    /// Whether it holds escapes, so that its bytes are not its text.
    pub(super) escaped: bool,
}

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Nesting, one bit a level, 1 for an object: the lowest bit is the innermost.
    nesting: u128,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, nesting: 0, depth: 0 }
    }

    pub(super) fn fault(&self) -> Fault {
        Fault { at: self.at }
    }

    /// Skips white space and returns the offset of what follows.
    pub(super) fn gap(&mut self) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
        self.at
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Takes exactly this byte.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    /// Opens an object or an array.
    pub(super) fn open(&mut self, byte: u8) -> Result<(), Fault> {
        self.expect(byte)?;
        if self.depth == DEEPEST {
            return Err(Fault { at: self.at - 1 });
        }
        self.depth += 1;
        self.nesting = self.nesting << 1 | u128::from(byte == b'{');
        Ok(())
    }

    /// Closes what was opened last.
    pub(super) fn close(&mut self, byte: u8) -> Result<(), Fault> {
        self.expect(byte)?;
        self.depth -= 1;
        self.nesting >>= 1;
        Ok(())
    }

    /// A key and its colon.
    pub(super) fn key(&mut self) -> Result<Text, Fault> {
        self.gap();
        let key = self.text()?;
        self.gap();
        self.expect(b':')?;
        Ok(key)
    }

    /// One value of any kind, skipped without recursion.
    pub(super) fn value(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.gap();
        let outer = self.depth;
        loop {
            self.gap();
            match self.peek() {
                Some(b'{') => {
                    self.open(b'{')?;
                    self.gap();
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue;
                    }
                    self.close(b'}')?;
                }
                Some(b'[') => {
                    self.open(b'[')?;
                    self.gap();
                    if self.peek() != Some(b']') {
                        self.at = numbers::go_by(self.bytes, self.at);
                        continue;
                    }
                    self.close(b']')?;
                }
                _ => self.scalar()?,
            }
            if !self.next_value(outer)? {
                return Ok(start..self.at);
            }
        }
    }

    /// After a value: closes what ends here, down to `outer`. Whether another value follows.
    fn next_value(&mut self, outer: u32) -> Result<bool, Fault> {
        while self.depth > outer {
            let in_object = self.nesting & 1 == 1;
            self.gap();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if in_object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                Some(b'}') if in_object => self.close(b'}')?,
                Some(b']') if !in_object => self.close(b']')?,
                _ => return Err(self.fault()),
            }
        }
        Ok(false)
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.text().map(drop),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        word.iter().try_for_each(|byte| self.expect(*byte))
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.fault()) } else { Ok(()) }
    }

    pub(super) fn text(&mut self) -> Result<Text, Fault> {
        let start = self.at;
        self.expect(b'"')?;
        let (end, escaped) = match text::short_end(self.bytes, self.at) {
            Some(end) => (end, false),
            None => text::end(self.bytes, self.at).map_err(|from| self.fault_of_text(from))?,
        };
        self.at = end + 1;
        Ok(Text { span: start..self.at, escaped })
    }

    /// Where exactly a text is at fault that is so from this byte on, which is no part of an escape.
    #[cold]
    pub(super) fn fault_of_text(&mut self, from: usize) -> Fault {
        self.at = from;
        loop {
            match self.peek() {
                Some(b'\\') => {
                    self.at += 1;
                    if let Err(fault) = self.escape() {
                        return fault;
                    }
                }
                // Its end: it was no UTF-8.
                None | Some(b'"' | ..0x20) => return self.fault(),
                Some(_) => self.at += 1,
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<(), Fault> {
        let at = self.at;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.code_unit()? {
                0xD800..0xDC00 => {
                    self.expect(b'\\')?;
                    match self.code_unit()? {
                        0xDC00..0xE000 => Ok(()),
                        _ => Err(Fault { at }),
                    }
                }
                0xDC00..0xE000 => Err(Fault { at }),
                _ => Ok(()),
            },
            _ => Err(self.fault()),
        }
    }

    fn code_unit(&mut self) -> Result<u32, Fault> {
        self.expect(b'u')?;
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit << 4 | digit.ok_or(self.fault())?;
            self.at += 1;
        }
        Ok(unit)
    }
}
