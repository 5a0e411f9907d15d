//! Tagged texts: a sentence on each line, each word with its tag behind a slash, `The/at jury/nn said/vbd`, as the Brown corpus has
//! them, or behind an underscore, as taggers print them, in capitals: `The_DT jury_NN`.

use std::collections::HashSet;
use std::path::Path;

use super::form::Table;
use super::rows::Rows;
use crate::error::Result;
use crate::file::fault;

/// What stands between a word and its tag.
const MARKS: [char; 2] = ['/', '_'];
/// Lines and words that tell, and the fewest words that do.
const LINES: usize = 100;
const LEAST: usize = 8;

/// The mark between words and tags, if most of the first words have one behind them: a tag is no number, and tags repeat.
pub(super) fn mark(text: &str) -> Option<char> {
    let words = || text.lines().take(LINES).flat_map(str::split_whitespace);
    let all = words().count();
    MARKS.into_iter().filter(|_| all >= LEAST).find(|mark| {
        let tags: Vec<&str> = words().filter_map(|word| parts(word, *mark)).map(|(_, tag)| tag).collect();
        let distinct = tags.iter().collect::<HashSet<_>>().len();
        20 * tags.len() >= 19 * all && 2 * distinct <= tags.len()
    })
}

/// A word and its tag.
fn parts(word: &str, mark: char) -> Option<(&str, &str)> {
    // Names in small letters have underscores too.
    let may_be = |c: char| mark == '/' || !c.is_lowercase();
    let is_tag =
        |tag: &str| !tag.is_empty() && !tag.starts_with(|c: char| c.is_ascii_digit()) && tag.chars().all(may_be);
    word.rsplit_once(mark).filter(|(word, tag)| !word.is_empty() && is_tag(tag))
}

/// Reads the words of each line as the steps of a sequence, their tags as labels.
///
/// # Errors
/// Words without a tag, unless `skip_bad` leaves their lines out.
pub(super) fn table(text: &str, mark: char, path: &Path, skip_bad: bool) -> Result<Table> {
    let mut rows = Rows::default();
    let mut bad = Vec::new();
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    for (sentence, (number, line)) in lines.enumerate() {
        let sentence = (sentence + 1).to_string();
        let words: Vec<_> = line.split_whitespace().map(|word| parts(word, mark).ok_or(word)).collect();
        if let Some(word) = words.iter().find_map(|parts| parts.err()) {
            bad.push((number, word));
            continue;
        }
        for (word, tag) in words.into_iter().flatten() {
            rows.push(number, [sentence.as_str(), word, tag]);
        }
    }
    let mut notes = vec![format!("read as tagged text: a sentence on each line, its words as WORD{mark}TAG")];
    if let Some((number, word)) = bad.first() {
        if !skip_bad {
            let others = match bad.len() {
                1 => String::new(),
                n => format!(" (so in {n} lines)"),
            };
            let reason = format!(
                "line {number}: {word:?} has no tag behind a {mark:?}, as the other words have{others}; `skip_bad` leaves such \
                 lines out"
            );
            return Err(fault(path, reason));
        }
        notes.push(format!("{} lines with words without a tag left out (`skip_bad`)", bad.len()));
    }
    let header = Some(["sentence", "word", "tag"].map(String::from).to_vec());
    let (label, series, text) = (Some(2), Some(0), Some(1));
    Ok(Table { path: path.into(), header, rows, notes, label, series, text, is_sparse: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWN: &str = "\n\n\tThe/at Fulton/np-tl County/nn-tl Grand/jj-tl Jury/nn-tl said/vbd ``/`` no/at 1/2/cd ''/'' ./.\n\
                         The/at jury/nn said/vbd it/pps ./.\n";

    #[test]
    fn words_with_tags_are_told_and_read() {
        let long = BROWN.repeat(3);
        assert_eq!(mark(&long), Some('/'));
        let penn = "The_DT jury_NN said_VBD it_PRP ._. It_PRP 's_VBZ true_JJ ._.\n";
        assert_eq!(mark(&penn.repeat(3)), Some('_'));
        // Also where the sentences are blank lines apart.
        let read = Table::parse(long.replace('\n', "\n\n").as_bytes(), Path::new("ca01"), None).unwrap();
        assert_eq!((read.rows.len(), read.label), (48, Some(2)), "{:?}", read.notes);
        let read = table(BROWN, '/', Path::new("t"), false).unwrap();
        let row = |row: usize| (read.rows.row(row).line(), read.rows.row(row).join(" "));
        assert_eq!((row(0), row(8)), ((3, "1 The at".into()), (3, "1 1/2 cd".into())));
        assert_eq!((row(11), read.rows.len()), ((4, "2 The at".into()), 16));
        let spoilt = BROWN.replace("jury/nn", "jury");
        assert_eq!(mark(&spoilt.repeat(20)), None, "one in sixteen");
        let error = table(&spoilt, '/', Path::new("t"), false).unwrap_err().to_string();
        assert!(error.contains("line 4: \"jury\" has no tag behind a '/'"), "{error}");
        assert_eq!(table(&spoilt, '/', Path::new("t"), true).unwrap().rows.len(), 11);
    }

    #[test]
    fn other_texts_are_none() {
        for other in [
            "1/2/2020 3/4/2021 5/6/2022 7/8/2023\n1/2/2020 3/4/2021 5/6/2022 7/8/2023\n",
            "a/b c/d e/f g/h i/j k/l m/n o/p\n",
            "he and/or she went to the house on the hill and/or stayed there\n",
            "x/y\n",
            "first_name last_name\nAda Lovelace\n",
            "new_york large_city\nnew_haven small_city\nnew_york large_city\nold_york small_city\nnew_york large_city\n",
        ] {
            assert_eq!(mark(other), None, "{other:?}");
        }
    }
}
