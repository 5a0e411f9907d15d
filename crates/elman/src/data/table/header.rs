//! Whether the first row names the columns, and how names are put right.

use std::collections::{HashMap, HashSet};

use unicode_normalization::UnicodeNormalization;

use super::cells::{is_missing, number};
use super::rows::Rows;

/// Names of a column of texts, in lower case.
pub(super) const TEXT_NAMES: [&str; 14] = [
    "text", "sentence", "review", "comment", "message", "tweet", "content", "body", "document", "question", "phrase",
    "utterance", "description", "input",
];
/// Names of a column of labels, in lower case.
pub(super) const LABEL_NAMES: [&str; 12] = [
    "label", "labels", "class", "target", "category", "sentiment", "intent", "topic", "polarity", "emotion", "tag",
    "output",
];
/// Other typical header names, in lower case.
const OTHER_NAMES: [&str; 14] = [
    "id", "index", "split", "sequence", "sequence_id", "seq_id", "step", "frame", "time", "title", "source",
    "language", "filename", "path",
];
/// Maximum length of a header name.
const NAME_CHARS: usize = 40;

/// Whether the first row names the columns. Conservative, since a row mistaken for a header is lost to training: its
/// cells must be distinct names, none a number; and either a column below is all numeric, or one name is a typical
/// header name that does not recur in its column, or it stands alone over a column of few values that all repeat.
pub(super) fn first_is_header(rows: &Rows) -> bool {
    let Some(first) = rows.first() else { return false };
    let rest = || rows.iter().skip(1);
    // A nameless column holds nothing, or row numbers.
    let is_empty = |column: usize| rest().all(|row| row.cell(column).trim().is_empty());
    let names: Vec<(usize, &str)> = first.cells().map(str::trim).enumerate().collect();
    let given: Vec<&str> = names.iter().map(|(_, name)| *name).filter(|name| !name.is_empty()).collect();
    // Of many names a few may be equal, and one may look like a mark of a missing value, as sodium does.
    let many = given.len() >= 3;
    let equal = given.len() - given.iter().collect::<HashSet<_>>().len();
    let missing = given.iter().filter(|name| is_missing(name)).count();
    if rows.len() < 2
        || given.is_empty()
        || equal * 5 > given.len()
        || equal > 0 && !many
        || missing > usize::from(many)
    {
        return false;
    }
    let is_nameless = |column: usize, name: &str| {
        name.is_empty() && first.width() > 1 && (column == 0 && !is_empty(column) || is_empty(column))
    };
    let named = |extra: &[char]| {
        names.iter().all(|&(column, name)| {
            let sign =
                |c: char| c.is_alphanumeric() || is_mark(c) || matches!(c, '_' | '-' | ' ') || extra.contains(&c);
            let plain = name.chars().all(sign) && name.chars().count() <= NAME_CHARS;
            is_nameless(column, name) || plain && number(name).is_none()
        })
    };
    let numeric = |column: usize| {
        let mut cells = rest().map(|row| row.cell(column)).filter(|cell| !is_missing(cell)).peekable();
        cells.peek().is_some() && cells.all(|cell| number(cell).is_some())
    };
    let with_units = ['.', '(', ')', '/', '%', ':', '#', '[', ']', '°', '²', '³', 'µ', '$', '€', '&', '\''];
    if (0..first.width()).any(numeric) {
        // Names over numbers are sufficient evidence; they may contain units: `sepal length (cm)`, `log2(x)/y`.
        return named(&with_units);
    }
    let known = |name: &str| {
        let name = name.to_lowercase();
        [&TEXT_NAMES[..], &LABEL_NAMES, &OTHER_NAMES].iter().any(|names| names.contains(&name.as_str()))
    };
    let again = |column: usize| rest().any(|row| row.cell(column).trim() == names[column].1);
    let none_again = || !names.iter().any(|&(column, name)| !name.is_empty() && again(column));
    if !named(&[]) || !none_again() {
        return false;
    }
    names.iter().any(|(_, name)| known(name))
        || names.iter().any(|&(column, name)| !name.is_empty() && repeats(rows, column))
}

/// Whether a column below its first row holds few values, each of them several times: a name alone above them is none of them.
fn repeats(rows: &Rows, column: usize) -> bool {
    const ROWS: usize = 20;
    const VALUES: usize = 20;
    const TIMES: usize = 3;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for row in rows.iter().skip(1) {
        *counts.entry(row.cell(column).trim()).or_default() += 1;
        if counts.len() > VALUES {
            return false;
        }
    }
    rows.len() > ROWS && (2..=VALUES).contains(&counts.len()) && counts.values().all(|&times| times >= TIMES)
}

/// A mark that belongs to the letter before it: it has no canonical form of its own.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// A name without blanks around it, in its canonical form (NFC), so that what looks alike is alike.
pub(super) fn clean(name: &str) -> String {
    // Signs without width are seen by nobody.
    let is_seen = |c: &char| !matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    name.chars().filter(is_seen).collect::<String>().trim().nfc().collect()
}

/// Makes names distinct: of equal ones the second is `name (2)`. Says which those are.
pub(super) fn distinct(names: &mut [String]) -> Vec<String> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut renamed = Vec::new();
    for name in names.iter_mut().filter(|name| !name.is_empty()) {
        if seen.insert(name.clone()) {
            continue;
        }
        let other = (2..).map(|n| format!("{name} ({n})")).find(|other| !seen.contains(other)).unwrap_or_default();
        renamed.push(other.clone());
        seen.insert(other.clone());
        *name = other;
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_right_and_told_apart() {
        assert_eq!(
            (clean("  e\u{301} "), clean("값 "), clean("\u{200b}x\u{feff}")),
            ("é".into(), "값".into(), "x".into())
        );
        let mut names = ["a", "", "a", "a (2)", "a", ""].map(String::from);
        assert_eq!(distinct(&mut names), ["a (2)", "a (2) (2)", "a (3)"]);
        assert_eq!(names, ["a", "", "a (2)", "a (2) (2)", "a (3)", ""]);
    }
}
