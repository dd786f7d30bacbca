//! Spelling help: the candidate that a misspelt word was meant to be.
//!
//! Shared by every stage that looks names up, so that all of them guess alike.

/// Longest word that is compared; the cost is quadratic in the length.
const LONGEST: usize = 64;

/// The number of edits (insert, delete, replace, swap two neighbours) that turn `a` into `b`,
/// counted in characters.
pub fn distance(a: &str, b: &str) -> usize {
    within(a, b, usize::MAX).unwrap_or(usize::MAX)
}

/// The same, if it is no more than `most`; two words that differ early are told apart early, so that a
/// misspelt word can be held against ten thousand names.
fn within(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replace = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        // A swap reaches over one row, so two rows decide.
        let least = |row: &[usize]| row.iter().min().is_none_or(|d| *d > most);
        if least(&row) && least(&above) {
            return None;
        }
        before = std::mem::replace(&mut above, row);
    }
    Some(above[b.len()]).filter(|d| *d <= most)
}

/// The candidate nearest to `word`, if it is near enough to be a slip of the pen: at most one edit in
/// three characters (and at least one allowed), upper and lower case counting as equal, and something must remain. Of equally
/// near candidates the first wins; `word` itself is never suggested.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let folded = word.to_lowercase();
    let allowed = (length / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for c in candidates.into_iter().filter(|c| *c != word && c.len() <= 4 * LONGEST) {
        let most = match best {
            None => allowed,
            Some((0, _)) => break,
            Some((d, _)) => d - 1,
        };
        let near = within(&folded, &c.to_lowercase(), most);
        if let Some(d) = near.filter(|d| *d < c.chars().count().max(length)) {
            best = Some((d, c));
        }
    }
    best.map(|(_, c)| c)
}

/// `did you mean `x`?` for the nearest candidate, ready to be a diagnostic's help.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    closest(word, candidates).map(|c| format!("did you mean `{c}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("minimise", "minimize"), 1);
        assert_eq!(distance("perfer", "prefer"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_bound_changes_no_answer_below_it() {
        let words =
            ["", "a", "ab", "ba", "abc", "bac", "acb", "minimize", "minimise", "mniimize", "logp"];
        for a in words {
            for b in words {
                let d = distance(a, b);
                for most in 0..9 {
                    assert_eq!(
                        within(a, b, most),
                        Some(d).filter(|d| *d <= most),
                        "{a} {b} {most}"
                    );
                }
            }
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let words = ["minimize", "model", "prefer"];
        assert_eq!(closest("minimise", words), Some("minimize"));
        assert_eq!(closest("Prefer", words), Some("prefer"));
        assert_eq!(closest("banana", words), None);
        assert_eq!(closest("model", words), None);
        assert_eq!(closest("x", ["y"]), None);
        assert_eq!(closest(&"m".repeat(100), words), None);
        assert_eq!(did_you_mean("modle", words).as_deref(), Some("did you mean `model`?"));
    }
}
