//! Names as people write them, and what they probably meant.

/// The longest name that a misspelling is looked for, in characters.
const LONGEST: usize = 64;

/// A message about a name nobody knows, with the one that was probably meant.
pub(super) fn unknown(what: &str, written: &str, known: &[&str]) -> String {
    let folded = fold(written);
    let length = folded.chars().count();
    let is_near = |distance: usize| length <= LONGEST && distance <= 1 + length / 4;
    let near = known
        .iter()
        .map(|name| (distance(&folded, &fold(name)), name))
        .min()
        .filter(|(distance, _)| is_near(*distance));
    match near {
        Some((_, name)) => format!("no {what} is called '{written}'; did you mean '{name}'?"),
        None => format!("no {what} is called '{written}'; there are: {}", known.join(", ")),
    }
}

/// A name without what people write differently.
pub(crate) fn fold(name: &str) -> String {
    let counts = |c: &char| !matches!(c, '-' | '_' | ' ');
    name.chars().filter(counts).flat_map(char::to_lowercase).collect()
}

/// How many letters must change to make one of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_proposed_and_otherwise_all_are_listed() {
        let known = ["max-attempts", "budget-percent", "on"];
        for (written, part) in [
            ("maxAtempts", "'max-attempts'?"),
            ("max_attempt", "'max-attempts'?"),
            ("percent-budget", "there are: max-attempts, budget-percent, on"),
            ("o", "'on'?"),
            ("", "there are:"),
            (&"o".repeat(100_000), "there are:"),
        ] {
            let message = unknown("key", written, &known);
            assert!(message.contains(part), "{written:.9} should name {part}");
        }
    }

    #[test]
    fn distance_counts_letters_changed_added_and_left_out() {
        for (a, b, expected) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("ab", "ac", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
