//! The known name that was probably meant.

/// Of `known`, the name that is nearest to `name`, if any is near enough to be a slip.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(64).collect();
    let limit = (name.len() / 3).max(2);
    let distances = known.into_iter().map(|word| (distance(&name, word), word));
    let (best, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (best <= limit).then_some(word)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (above, letter) in to.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, other) in from.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[from.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["upgrade", "downgrade", "uffd-wp"];
        assert_eq!(nearest("upgarde", known), Some("upgrade"));
        assert_eq!(nearest("uffdwp", known), Some("uffd-wp"));
        assert_eq!(nearest("elephant", known), None);
        assert_eq!(nearest("", []), None);
    }
}
