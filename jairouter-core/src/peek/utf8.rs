//! Whether bytes are UTF-8, in blocks and without a branch for what stands where.
//!
//! `str::from_utf8` takes ten instructions a byte for what is no ASCII: what most people write in languages of
//! other letters. Here a bit of a word stands for each byte of a block.

use wide::u8x16;

use super::text::{BLOCK, mask};

/// A text, block by block.
#[derive(Default)]
pub(super) struct Utf8 {
    /// For its first bytes, whether the last block's characters go on there.
    due: u64,
    behind: Behind,
}

/// For the first byte of a block, whether it is the second of a character that begins with this.
#[derive(Default, PartialEq, Eq)]
struct Behind {
    e0: u64,
    ed: u64,
    f0: u64,
    f4: u64,
}

impl Utf8 {
    /// Whether all characters of the blocks before are whole, so that ASCII may follow.
    pub(super) fn is_whole(&self) -> bool {
        self.due == 0
    }

    /// Whether each byte of the next block may stand where it does. Whether its last character is whole is for the
    /// block behind it to tell.
    #[inline(never)]
    pub(super) fn next(&mut self, block: &[u8; BLOCK]) -> bool {
        let splat = u8x16::splat;
        let (two, three, four) = (from(block, 0xc0), from(block, 0xe0), from(block, 0xf0));
        let continuations = from(block, 0x80) & !two;
        let due = two << 1 | three << 2 | four << 3 | self.due;
        self.due = two >> 63 | three >> 62 | four >> 61;
        // C0, C1, E0, F0, ED and F4 to FF: few blocks have one.
        let particular = mask(block, |row| {
            (row & splat(0xfe)).simd_eq(splat(0xc0))
                | (row & splat(0xef)).simd_eq(splat(0xe0))
                | row.simd_eq(splat(0xed))
                | row.simd_eq(row.max(splat(0xf4)))
        });
        due == continuations
            && (particular == 0 && self.behind == Behind::default() || self.behind.next(block))
    }
}

impl Behind {
    /// Whether bytes of the next block are none that stands nowhere, and none that does not stand behind these.
    #[inline(never)]
    fn next(&mut self, block: &[u8; BLOCK]) -> bool {
        let is = |byte| mask(block, |row| row.simd_eq(u8x16::splat(byte)));
        let second = |carry: &mut u64, byte| {
            let leads = is(byte);
            let second = leads << 1 | *carry;
            *carry = leads >> 63;
            second
        };
        // Two bytes for one that needs one, and what is beyond the last character.
        let mut bad = is(0xc0) | is(0xc1) | from(block, 0xf5);
        // Three for one that needs two, surrogates, four for one that needs three, and beyond the last.
        let (low, lowest) = (!from(block, 0xa0), !from(block, 0x90));
        bad |= second(&mut self.e0, 0xe0) & low | second(&mut self.ed, 0xed) & !low;
        bad |= second(&mut self.f0, 0xf0) & lowest | second(&mut self.f4, 0xf4) & !lowest;
        bad == 0
    }
}

/// The bytes of a block that are this one or above it.
fn from(block: &[u8; BLOCK], byte: u8) -> u64 {
    mask(block, |row| row.simd_eq(row.max(u8x16::splat(byte))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether each block is valid, the last one with ASCII behind it.
    fn is_valid(bytes: &[u8]) -> bool {
        let mut utf8 = Utf8::default();
        let (blocks, rest) = bytes.as_chunks();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        blocks.iter().chain([&last]).all(|block| utf8.next(block))
    }

    fn check(bytes: &[u8]) {
        assert_eq!(is_valid(bytes), str::from_utf8(bytes).is_ok(), "{bytes:x?}");
    }

    #[test]
    fn any_two_bytes_are_judged_as_std_does_wherever_they_stand() {
        for at in [0, 61, 62, 63, 126] {
            for pair in 0..=u16::MAX {
                let mut text = [b'a'; 130];
                text[at..at + 2].copy_from_slice(&pair.to_be_bytes());
                check(&text[..at + 2]);
                text[at + 2] = 0x80;
                check(&text[..at + 3]);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_valid_and_cut_or_changed_what_std_says(
            text in "[a-z\u{7f}-\u{7ff}\u{800}-\u{ffff}\u{10000}-\u{10ffff}]{0,90}",
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut: prop::sample::Index,
        ) {
            prop_assert!(is_valid(text.as_bytes()));
            let mut bytes = text.into_bytes();
            check(&bytes[..cut.index(bytes.len() + 1)]);
            for (index, byte) in changes {
                if !bytes.is_empty() {
                    let at = index.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            check(&bytes);
        }
    }
}
