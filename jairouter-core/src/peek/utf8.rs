//! Whether bytes are UTF-8, in steps that do not branch on them.
//!
//! `str::from_utf8` is as fast for ASCII and takes ten instructions a byte for the rest: what most people
//! write in languages of other letters. Here each byte is held against the three before it, which is the same
//! work for any text and which the compiler does for sixteen bytes at a time.

/// How many bytes are looked at in a step.
const STEP: usize = 64;

/// The most bytes of a character that may stand before a byte of it.
const BEFORE: usize = 3;

/// Whether it is UTF-8.
pub(super) fn is_valid(bytes: &[u8]) -> bool {
    let mut at = 0;
    // What is before the first byte is as good as ASCII.
    let mut window = [0; BEFORE + STEP];
    while let Some(step) = bytes.get(at..).and_then(<[u8]>::first_chunk::<STEP>) {
        let open = window[STEP..].iter().any(|byte| *byte >= 0x80);
        let is_ascii = step.is_ascii();
        if open || !is_ascii {
            window.copy_within(STEP.., 0);
            window[BEFORE..].copy_from_slice(step);
            if !is_step_valid(&window) {
                return false;
            }
        } else {
            window[STEP..].copy_from_slice(&step[STEP - BEFORE..]);
        }
        at += STEP;
    }
    // ASCII behind the last byte: a character that is not whole has no continuation there.
    window.copy_within(STEP.., 0);
    window[BEFORE..].fill(0);
    let rest = &bytes[at..];
    window[BEFORE..BEFORE + rest.len()].copy_from_slice(rest);
    is_step_valid(&window)
}

/// Whether each of these but the first three is what may stand behind the three before it. What follows a
/// step of 61 bytes or more shows whether its last character is whole.
#[expect(clippy::needless_bitwise_bool, reason = "without a branch it is done for many at a time")]
fn is_step_valid(window: &[u8; BEFORE + STEP]) -> bool {
    let mut bad = false;
    for at in BEFORE..BEFORE + STEP {
        let (byte, first, second, third) =
            (window[at], window[at - 1], window[at - 2], window[at - 3]);
        let continues = byte & 0xc0 == 0x80;
        let is_due = (first >= 0xc0) | (second >= 0xe0) | (third >= 0xf0);
        bad |= continues != is_due;
        // Two bytes for one that needs one, and what is beyond the last character.
        bad |= (byte == 0xc0) | (byte == 0xc1) | (byte >= 0xf5);
        // Three for one that needs two, surrogates, four for one that needs three, and beyond the last.
        bad |= (first == 0xe0) & (byte < 0xa0) | (first == 0xed) & (byte > 0x9f);
        bad |= (first == 0xf0) & (byte < 0x90) | (first == 0xf4) & (byte > 0x8f);
    }
    !bad
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
