//! A strict JSON scanner (RFC 8259) that finds where values stand and builds none of them.
//!
//! The input is UTF-8 already. Beyond the grammar it refuses nesting deeper than 128 levels, as
//! `serde_json` does, and escapes of lone surrogates, which no UTF-8 text can hold.

use std::ops::Range;

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
        let mut escaped = false;
        loop {
            self.at = self.easy_until(&mut escaped);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text { span: start..self.at, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += 1;
                    self.escape()?;
                }
                _ => return Err(self.fault()),
            }
        }
    }

    /// Goes by plain text and escapes of two bytes, a block at a time. The offset of what is neither, or of an
    /// escape near the end of the input.
    fn easy_until(&self, escaped: &mut bool) -> usize {
        // Most strings are short, and not worth a block.
        let mut at = match first_special(self.bytes, self.at, self.at + 8) {
            Ok(at) if self.bytes.get(at) != Some(&b'\\') => return at,
            Ok(at) | Err(at) => at,
        };
        while let Some(block) = self.bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            let mut marks = marks(block);
            if marks == 0 {
                at = plain_until(self.bytes, at + BLOCK);
                continue;
            }
            let mut next = BLOCK;
            while marks != 0 {
                let offset = marks.trailing_zeros() as usize;
                let pair = self.bytes.get(at + offset..).and_then(<[u8]>::first_chunk);
                let Some([b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't']) = pair
                else {
                    return at + offset;
                };
                *escaped = true;
                next = offset + 2;
                // The second may be marked, and is spent.
                marks &= u64::MAX.checked_shl(next as u32).unwrap_or(0);
            }
            at += next.max(BLOCK);
        }
        let (Ok(at) | Err(at)) = first_special(self.bytes, at, self.bytes.len());
        at
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

/// How many bytes are looked at together: a bit of a word for each.
const BLOCK: usize = 64;

/// Whether a string cannot simply go on with this byte.
#[expect(clippy::needless_bitwise_bool, reason = "without a branch it is done for many at a time")]
const fn is_special(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte < 0x20)
}

/// A bit for each byte of the block, the lowest for the first, which is set if that is special.
fn marks(block: &[u8; BLOCK]) -> u64 {
    let mut special = [0_u8; BLOCK];
    for (special, byte) in special.iter_mut().zip(block) {
        *special = u8::from(is_special(*byte));
    }
    let (words, _) = special.as_chunks();
    // The product has the lowest bits of eight bytes side by side in its highest byte.
    words.iter().rev().fold(0, |marks, word| {
        marks << 8 | u64::from_le_bytes(*word).wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// Goes by blocks without a special byte.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>)
        && !block.iter().fold(false, |any, byte| any | is_special(*byte))
    {
        at += BLOCK;
    }
    at
}

/// The offset of the first special byte from `at` on, eight bytes a step; or, if there is none before `end`,
/// how far it has come. The bit tricks mark the first such byte exactly; marks above it may be borrows.
fn first_special(bytes: &[u8], mut at: usize, end: usize) -> Result<usize, usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let zeroes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while at < end
        && let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk)
    {
        let word = u64::from_le_bytes(*chunk);
        let marks = zeroes(word ^ (ONES * u64::from(b'"')))
            | zeroes(word ^ (ONES * u64::from(b'\\')))
            | (word.wrapping_sub(ONES * 0x20) & !word & HIGHS);
        if marks != 0 {
            return Ok(at + marks.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    while at < end
        && let Some(byte) = bytes.get(at)
    {
        if is_special(*byte) {
            return Ok(at);
        }
        at += 1;
    }
    Err(at)
}
