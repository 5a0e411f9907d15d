//! Pretrained word vectors: one word and its vector per line, as GloVe and fastText write them.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::Words;
use crate::error::{Error, Result};
use crate::file;

/// Bytes of a line: a word and some thousands of numbers.
const MAX_LINE: usize = 1 << 20;

/// Writes the vectors of known words into their rows of `table` `[V, width]`; returns how many were found. The file may be
/// gzipped.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] with the line of a vector of another width or of an
/// invalid number, or if no word is found.
pub fn read(path: &Path, words: &Words, width: usize, table: &mut [f32]) -> Result<usize> {
    let data = |reason: String| Error::Data { path: path.into(), reason };
    let mut found = 0;
    let (mut stream, mut bytes) = (BufReader::new(file::open(path)?), Vec::new());
    for i in 0.. {
        bytes.clear();
        let limited = (&mut stream).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        if limited.map_err(|error| file::read_failed(path, error))? == 0 {
            break;
        }
        if bytes.len() > MAX_LINE {
            return Err(data(format!("line {} is longer than {MAX_LINE} bytes", i + 1)));
        }
        let line = std::str::from_utf8(&bytes).map_err(|_| data(format!("line {}: not UTF-8", i + 1)))?;
        let mut numbers = line.trim_end().split(' ');
        let Some(word) = numbers.next().filter(|word| !word.is_empty()) else { continue };
        let got = numbers.clone().count();
        // fastText files start with a line of two counts.
        if i == 0 && got == 1 {
            continue;
        }
        if got != width {
            return Err(data(format!("line {}: {got} numbers; set `embedding` to {got} to use these vectors", i + 1)));
        }
        let token = words.id(word);
        if token == super::words::UNKNOWN {
            continue;
        }
        for (to, number) in table[token as usize * width..][..width].iter_mut().zip(numbers) {
            let value = number.parse::<f32>().ok().filter(|value| value.is_finite());
            *to = value.ok_or_else(|| data(format!("line {}: {number:?} is not a number", i + 1)))?;
        }
        found += 1;
    }
    if found == 0 {
        return Err(data("none of its words occurs in the training data".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::words::Level;

    #[test]
    fn known_words_get_their_vectors_and_wrong_lines_are_named() {
        let words = Words::fit(["good bad"].into_iter(), Level::Word, 10, 1, 0).unwrap();
        let read_text = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let mut table = vec![9.0; 6];
            read(file.path(), &words, 2, &mut table).map(|found| (found, table)).map_err(|e| e.to_string())
        };
        let (found, table) = read_text("2 2\ngood 1 2\nother 5 6\n").unwrap();
        assert_eq!(found, 1);
        let good = words.id("good") as usize;
        assert_eq!(table[2 * good..2 * good + 2], [1.0, 2.0]);
        assert!(read_text("good 1 2 3\n").unwrap_err().contains("`embedding` to 3"));
        assert!(read_text("good 1 x\n").unwrap_err().contains("line 1: \"x\""));
        assert!(read_text(&" ".repeat(MAX_LINE + 1)).unwrap_err().contains("line 1 is longer"));
        assert!(read_text("other 1 2\n").unwrap_err().contains("none of its words"));
    }
}
