//! Lists of whole numbers, in blocks: tokens.

use wide::u8x16;

use super::text::{BLOCK, mask};

/// Goes by the numbers of a list, each with its comma, from `at` on, where a value is due. What is anything but
/// a whole number, or stands near the end of the input, is left where it is, and so is what is no JSON.
pub(super) fn go_by(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b'0'..=b'9' | b' ') = bytes.get(at)
        && let Some(block) = bytes[at..].first_chunk()
        && let Some(length) = in_block(block)
    {
        at += length;
    }
    at
}

/// How many bytes the numbers take that are whole in this block, and their commas; nothing if there is none.
fn in_block(block: &[u8; BLOCK]) -> Option<usize> {
    let splat = u8x16::splat;
    let is = |byte| mask(block, |row| row.simd_eq(splat(byte)));
    // By this a digit is 0 to 9.
    let digits = mask(block, |row| {
        let row = row ^ splat(b'0');
        row.simd_eq(row.min(splat(9)))
    });
    let (commas, spaces) = (is(b','), is(b' '));
    // Those below the first byte that is none of these.
    let others = !(digits | commas | spaces);
    let known = (others & others.wrapping_neg()).wrapping_sub(1);
    let length = BLOCK - (commas & known).leading_zeros() as usize;
    let within = u64::MAX.checked_shr((BLOCK - length) as u32)?;

    let first = digits & !(digits << 1);
    // A comma stands behind a digit, a space behind a comma or where the value is due, and nothing behind a
    // zero that begins a number.
    let wrong =
        commas & !(digits << 1) | spaces & !(commas << 1 | 1) | digits & (first & is(b'0')) << 1;
    (wrong & within == 0).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::scan::Scanner;
    use super::*;

    /// Takes the list at the beginning as serde does.
    fn check(text: &str) {
        let mut read =
            serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
        let expected = read.next().is_some_and(|list| list.is_ok()).then(|| read.byte_offset());
        let taken = Scanner::new(text.as_bytes()).value();
        assert_eq!(taken.ok().map(|list| list.end), expected, "{text}");
    }

    #[test]
    fn whatever_stands_at_any_place_of_a_list_is_taken_as_serde_takes_it() {
        let others = [
            "0",
            "00",
            "01",
            "0,0",
            "-1",
            "1.5",
            "1e3",
            "",
            " ",
            "  1",
            "1 ",
            "1 2",
            "\n1",
            ",",
            " ,1",
            "+1",
            "x",
            "[]",
            "[1,2",
            "1]",
            "\"1\"",
            ":",
            "/",
            "1,",
            "123456789012345678901234567890",
            "é",
            "null",
        ];
        for other in others {
            for comma in [",", ", "] {
                // Each is two bytes or three with its comma: all places of a block, and those before its end.
                for (before, after) in (0..70).flat_map(|before| [(before, 0), (before, 40)]) {
                    for first in ["1", "12"] {
                        let begin = format!("{first}{comma}{}", "7,".repeat(before));
                        let end = format!("{comma}7").repeat(after);
                        check(&format!("[{begin}{other}{end}]"));
                        check(&format!("[{begin}{other}{end}"));
                    }
                }
            }
        }
    }

    #[test]
    fn a_list_of_tokens_is_gone_by_to_its_last_block() {
        let list = "[".to_owned() + &"12345, ".repeat(100) + "1]";
        assert!(list.len() - go_by(list.as_bytes(), 1) < BLOCK);
        assert_eq!(go_by(list.as_bytes(), 0), 0);
    }

    proptest! {
        #[test]
        fn any_list_is_taken_as_serde_takes_it(
            numbers in prop::collection::vec(
                ("0|[1-9][0-9]{0,6}|-?[0-9]{1,3}([.]5)?", prop_oneof![20 => ",", 9 => ", ", 1 => " ?,? ?"]),
                0..60,
            ),
        ) {
            let list: String = numbers.iter().map(|(number, comma)| number.clone() + comma).collect();
            check(&format!("[{list}1]"));
        }
    }
}
