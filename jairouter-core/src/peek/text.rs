//! Where a JSON string ends, and whether it is one: its escapes and its UTF-8.
//!
//! 64 bytes are looked at together, with a bit of a word for each, and there is no branch for what stands where
//! ([Langdale and Lemire](https://arxiv.org/abs/1902.08318)).

use wide::u8x16;

use super::utf8::Utf8;

/// How many bytes are looked at together.
pub(super) const BLOCK: usize = 64;

/// After how many plain blocks the next ones are likely to be plain.
const PLAIN: u32 = 4;

/// Where the text from `start` on, behind an opening quote, has its closing one, if that is near and everything
/// before it stands for itself and is ASCII: most texts are short, and not worth a block.
pub(super) fn short_end(bytes: &[u8], start: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let zeroes = |word: u64| word.wrapping_sub(ONES) & !word;
    for at in [start, start + 8] {
        let word = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
        // The first mark is exact; those above it may be borrows.
        let marks = zeroes(word ^ (ONES * u64::from(b'"')))
            | zeroes(word ^ (ONES * u64::from(b'\\')))
            | word.wrapping_sub(ONES * 0x20)
            | word;
        let marks = marks & (ONES << 7);
        if marks != 0 {
            let at = at + marks.trailing_zeros() as usize / 8;
            return (bytes[at] == b'"').then_some(at);
        }
    }
    None
}

/// Where the text from `start` on, behind an opening quote, has its closing one, and whether it holds escapes.
///
/// # Errors
///
/// An offset that is not in the middle of an escape, if there is no such text: it is at fault behind that.
pub(super) fn end(bytes: &[u8], start: usize) -> Result<(usize, bool), usize> {
    let mut at = start;
    let mut escapes = Escapes::default();
    let mut escaped = false;
    let mut utf8 = Utf8::default();
    let mut plain = 0;
    loop {
        let padded;
        let block = match bytes.get(at..).and_then(<[u8]>::first_chunk) {
            Some(block) => block,
            None => {
                padded = last_block(bytes, at);
                &padded
            }
        };
        let masks = Masks::of(block);
        if !(masks.is_ascii & utf8.is_whole()) && !utf8.next(block) {
            return Err(escapes.begin(at));
        }
        if masks.backslashes | masks.ends | escapes.carry == 0 {
            at += BLOCK;
            plain += 1;
            if plain >= PLAIN && utf8.is_whole() {
                at = plain_until(bytes, at);
            }
            continue;
        }
        plain = 0;
        let begin = escapes.begin(at);
        let second = escapes.next(masks.backslashes);
        let ends = masks.ends & !second;
        // Those below the lowest bit of `ends`.
        let inside = (ends & ends.wrapping_neg()).wrapping_sub(1);
        escaped |= masks.backslashes & inside != 0;
        if !escapes.are_valid(bytes, at, block, second & inside) {
            return Err(begin);
        }
        if ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            return if bytes.get(end) == Some(&b'"') { Ok((end, escaped)) } else { Err(begin) };
        }
        at += BLOCK;
    }
}

/// What is left, and behind it what no text goes on with.
fn last_block(bytes: &[u8], at: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let rest = bytes.get(at..).unwrap_or_default();
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// Goes by blocks of ASCII that stands for itself.
fn plain_until(bytes: &[u8], mut at: usize) -> usize {
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "without a branch it is done for many at a time"
    )]
    // What is no ASCII is negative.
    let is_special = |byte: u8| (byte.cast_signed() < 0x20) | (byte == b'"') | (byte == b'\\');
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>)
        && !block.iter().fold(false, |any, byte| any | is_special(*byte))
    {
        at += BLOCK;
    }
    at
}

/// A bit for each byte of a block, the lowest for the first.
struct Masks {
    backslashes: u64,
    /// Quotes and control characters: a text goes on with one only as the second byte of an escape.
    ends: u64,
    is_ascii: bool,
}

impl Masks {
    fn of(block: &[u8; BLOCK]) -> Self {
        let splat = u8x16::splat;
        Self {
            backslashes: mask(block, |row| row.simd_eq(splat(b'\\'))),
            ends: mask(block, |row| row.simd_eq(splat(b'"')) | row.simd_eq(row.min(splat(0x1f)))),
            is_ascii: block.is_ascii(),
        }
    }
}

/// A bit for each byte of a block, the lowest for the first, which is the highest of what this makes of it.
#[inline]
pub(super) fn mask(block: &[u8; BLOCK], of: impl Fn(u8x16) -> u8x16) -> u64 {
    let (rows, _) = block.as_chunks();
    rows.iter().rev().fold(0, |mask, row| mask << 16 | u64::from(of(u8x16::new(*row)).to_bitmask()))
}

/// The escapes of a text, block by block.
#[derive(Default)]
struct Escapes {
    /// 1 if the last block ended with a backslash whose second byte is the first of the next one.
    carry: u64,
    /// Where the `u` of a low surrogate stands whose high one was met.
    low: usize,
}

impl Escapes {
    /// Where a reader who knows nothing of the blocks before `at` has to begin.
    fn begin(&self, at: usize) -> usize {
        // The `u` of a surrogate is six bytes behind that of the one before, which is one behind its backslash.
        if self.low >= at { self.low - 7 } else { at - self.carry as usize }
    }

    /// The second bytes of the escapes of the next block.
    fn next(&mut self, backslashes: u64) -> u64 {
        const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
        // Of a run of backslashes every other one begins an escape, from the first on. Subtracted from the bits behind
        // and all the odd ones, a run that begins at an odd bit leaves those of its own, and one that begins
        // at an even bit the others.
        let first = backslashes & !self.carry;
        let turned = ((first << 1 | ODD).wrapping_sub(first)) ^ ODD;
        let second = turned ^ (backslashes | self.carry);
        self.carry = (turned & backslashes) >> 63;
        second
    }

    /// Whether these second bytes of escapes, of the block at `at`, are what may stand there.
    fn are_valid(&mut self, bytes: &[u8], at: usize, block: &[u8; BLOCK], second: u64) -> bool {
        let mut met = 0;
        let mut rest = second;
        while rest != 0 {
            met |= KINDS[usize::from(block[rest.trailing_zeros() as usize])];
            rest &= rest - 1;
        }
        met & WRONG == 0 && (met & UNIT == 0 || self.are_units(bytes, at, block, second))
    }

    /// The same for those among them that are `u`.
    #[inline(never)]
    fn are_units(&mut self, bytes: &[u8], at: usize, block: &[u8; BLOCK], mut second: u64) -> bool {
        while second != 0 {
            let offset = second.trailing_zeros() as usize;
            second &= second - 1;
            if block[offset] != b'u' {
                continue;
            }
            let letter = at + offset;
            let is_valid = match code_unit(bytes, letter) {
                None => false,
                Some(0xd800..0xdc00) => {
                    self.low = letter + 6;
                    bytes.get(letter + 5) == Some(&b'\\')
                        && bytes.get(self.low) == Some(&b'u')
                        && matches!(code_unit(bytes, self.low), Some(0xdc00..0xe000))
                }
                Some(0xdc00..0xe000) => letter == self.low,
                Some(_) => true,
            };
            if !is_valid {
                return false;
            }
        }
        true
    }
}

/// The four digits behind a `u`.
fn code_unit(bytes: &[u8], letter: usize) -> Option<u32> {
    let digits: &[u8; 4] = bytes.get(letter + 1..)?.first_chunk()?;
    let unit = digits.iter().fold(0, |unit, digit| unit << 4 | DIGITS[usize::from(*digit)]);
    (unit <= 0xffff).then_some(unit)
}

/// The second byte of an escape of two.
const PAIR: u8 = 1;
/// That of one of six.
const UNIT: u8 = 2;
/// What is none.
const WRONG: u8 = 4;

/// What each byte is behind a backslash.
static KINDS: [u8; 256] = {
    let mut kinds = [WRONG; 256];
    let mut pairs: &[u8] = b"\"\\/bfnrt";
    while let [byte, rest @ ..] = pairs {
        kinds[*byte as usize] = PAIR;
        pairs = rest;
    }
    kinds[b'u' as usize] = UNIT;
    kinds
};

/// What each byte is as a hexadecimal digit. Others are so much that a number with one of them is no code unit.
static DIGITS: [u32; 256] = {
    let mut digits = [1 << 16; 256];
    let mut digit = 0;
    while digit < 16 {
        let byte = b"0123456789abcdef"[digit];
        digits[byte as usize] = digit as u32;
        digits[byte.to_ascii_uppercase() as usize] = digit as u32;
        digit += 1;
    }
    digits
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::Scanner;

    /// Reads the text at the beginning as serde does, and is at fault where a reader of single bytes is.
    fn check(bytes: &[u8]) {
        let mut read = serde_json::Deserializer::from_slice(bytes).into_iter::<String>();
        let expected = read.next().is_some_and(|text| text.is_ok()).then(|| read.byte_offset());
        let taken = Scanner::new(bytes).text();
        let shown = bytes.escape_ascii();
        if let (Ok(text), Some(end)) = (&taken, expected) {
            assert_eq!(text.span, 0..end, "{shown}");
            assert_eq!(text.escaped, bytes[..end].contains(&b'\\'), "{shown}");
        } else if str::from_utf8(bytes).is_ok() {
            let fault = taken.expect_err("serde refuses it");
            assert_eq!(expected, None, "{shown}");
            assert_eq!(fault, Scanner::new(bytes).fault_of_text(1), "{shown}");
        } else {
            // What stands behind a text may be at fault as well, and may be met with it.
            assert!(taken.is_err(), "{shown}");
        }
    }

    /// What a text may hold and may not.
    const PIECES: [&[u8]; 28] = [
        b"\"",
        b"\\\"",
        b"\\\\",
        b"\\",
        b"\\\\\\\"",
        b"\\\\\\\\",
        b"\\n",
        b"\\/",
        b"\\u0041",
        b"\\u00e9",
        b"\\uFFFF",
        b"\\ud83d\\ude00",
        b"\\uDBFF\\uDFFF",
        b"\\ud83d",
        b"\\ude00",
        b"\\ud83d\\u0041",
        b"\\u00g0",
        b"\\u",
        b"\\x",
        b"\\U0041",
        b"\0",
        b"\x1f",
        b"\x7f",
        "é".as_bytes(),
        "😀".as_bytes(),
        b"\x80",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
    ];

    #[test]
    fn whatever_stands_at_any_place_of_a_block_is_taken_as_serde_takes_it() {
        for piece in PIECES {
            for before in 0..80 {
                for after in [0, 1, 7, 70, 140] {
                    let (before, after) = ("a".repeat(before), "a".repeat(after));
                    let text = [b"\"", before.as_bytes(), piece, after.as_bytes(), b"\" "].concat();
                    check(&text);
                    check(&text[..text.len() - 2]);
                    // Beyond the end nothing is this text's.
                    check(&[&text, before.as_bytes()].concat());
                }
            }
        }
    }

    #[test]
    fn runs_of_backslashes_are_pairs_wherever_they_begin() {
        for before in 60..70 {
            for run in 0..140 {
                let text = format!("\"{}{}\"", "a".repeat(before), "\\".repeat(run));
                for tail in ["", "\"", "n\"", "x"] {
                    check(format!("{text}{tail}").as_bytes());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_serde_takes_it(
            pieces in prop::collection::vec(
                prop_oneof![
                    8 => "[a-z ]{0,90}".prop_map(String::into_bytes),
                    6 => "[é敏😀]{0,30}".prop_map(String::into_bytes),
                    9 => (1..13_usize).prop_map(|nth| PIECES[nth].to_vec()),
                    1 => (0..PIECES.len()).prop_map(|nth| PIECES[nth].to_vec()),
                ],
                0..30,
            ),
            cut: prop::sample::Index,
        ) {
            let text = [b"\"", &*pieces.concat(), b"\", 1"].concat();
            check(&text);
            check(&text[..=cut.index(text.len())]);
        }
    }
}
