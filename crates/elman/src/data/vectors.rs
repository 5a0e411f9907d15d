//! Pretrained word vectors as distributed: GloVe and fastText (a word and its vector a line), word2vec in text and in binary.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::Words;
use crate::error::{Error, Result};
use crate::file;

/// Beginnings of files that hold no vectors a line, and what to do with each.
const OTHERS: [(&[u8], &str); 5] = [
    (b"\xba\x16\x4f\x2f", "is a whole model of fastText; the file .vec beside it holds its vectors and is read"),
    (b"FiFu", "is a file of finalfusion; write it as text: finalfusion convert -t text FILE NEW"),
    (
        b"\x80",
        "is a pickle of Python, which is never read; write the vectors as text: model.wv.save_word2vec_format(NEW)",
    ),
    (b"PK\x03\x04", "is a zip archive; unpack it"),
    (b"\x93NUMPY", "is an array of numpy, without words; write a word and its numbers on each line"),
];

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b' ' | b'\t')
}

/// Bytes of a line: a word and some thousands of numbers.
const MAX_LINE: usize = 1 << 20;

/// Writes the vectors of known words into their rows of `table` `[V, width]`; returns how many were found. The file may be
/// compressed.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] with the line of a vector of another width or of an
/// invalid number, or if no word is found.
pub fn read(path: &Path, words: &Words, width: usize, table: &mut [f32]) -> Result<usize> {
    let data = |reason: String| Error::Data { path: path.into(), reason };
    let (mut found, mut lines) = (0, 0);
    let (mut stream, mut bytes) = (BufReader::new(file::open(path)?), Vec::new());
    for i in 0.. {
        bytes.clear();
        let limited = (&mut stream).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut bytes);
        if limited.map_err(|error| file::read_failed(path, error))? == 0 {
            break;
        }
        if i == 0
            && let Some((_, what)) = OTHERS.iter().find(|(head, _)| bytes.starts_with(head))
        {
            return Err(data((*what).to_string()));
        }
        if i == 0
            && let Some([count, size]) = counts(&bytes)
        {
            // Text or binary goes on behind the same first line.
            let head = stream.fill_buf().map_err(|error| file::read_failed(path, error))?;
            if is_binary(head) {
                found = binary(&mut stream, path, words, [count, size, width], table)?;
                break;
            }
            continue;
        }
        if bytes.len() > MAX_LINE {
            return Err(data(format!("line {} is longer than {MAX_LINE} bytes", i + 1)));
        }
        let Ok(line) = std::str::from_utf8(&bytes) else {
            // A word cut within a letter, as some distributed files have: no text holds it. Other bytes are no vectors.
            if bytes.iter().rev().skip_while(|byte| byte.is_ascii_whitespace()).take(4).all(|byte| is_of_number(*byte))
            {
                continue;
            }
            return Err(data(format!("line {}: not UTF-8, and no word with numbers behind it", i + 1)));
        };
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        // The numbers are the last cells: a word may hold blanks.
        let cells: Vec<&str> = line.split([' ', '\t']).collect();
        let numbers = cells.iter().skip(1).rev().take_while(|cell| cell.parse::<f32>().is_ok()).count();
        if cells.len() <= width || (numbers < width && cells.len() == width + 1) {
            let wrong = cells.iter().skip(1).find(|cell| cell.parse::<f32>().is_err());
            let has_none = cells.iter().skip(1).all(|cell| cell.parse::<f32>().is_err());
            return Err(match wrong.filter(|_| cells.len() == width + 1) {
                _ if has_none && lines == 0 => data(format!("line {}: is not a word with numbers behind it", i + 1)),
                Some(number) => data(format!("line {}: {number:?} is not a number", i + 1)),
                None if lines > 0 => data(format!(
                    "line {}: {numbers} numbers, but {width} in the lines before; is the file damaged?",
                    i + 1
                )),
                None => data(format!(
                    "line {}: {numbers} numbers; set `embedding` to {numbers} to use these vectors",
                    i + 1
                )),
            });
        }
        let (word, vector) = cells.split_at(cells.len() - width);
        // Of a word alone, all that follows are numbers: there are more than the network has room for.
        if word.len() > 1 && numbers > width && found == 0 {
            return Err(data(format!(
                "line {}: {numbers} numbers; set `embedding` to {numbers} to use these vectors",
                i + 1
            )));
        }
        lines += 1;
        let token = words.id(&word.join(" "));
        if token == super::words::UNKNOWN {
            continue;
        }
        for (to, number) in table[token as usize * width..][..width].iter_mut().zip(vector) {
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

/// The counts of words and of numbers in the first line of fastText's and word2vec's files.
fn counts(line: &[u8]) -> Option<[usize; 2]> {
    let mut cells = std::str::from_utf8(line).ok()?.split_whitespace();
    let counts = [cells.next()?.parse().ok()?, cells.next()?.parse().ok()?];
    cells.next().is_none().then_some(counts)
}

/// Whether a word is followed by the bytes of numbers: in a text are no control characters.
fn is_binary(head: &[u8]) -> bool {
    head.iter().take(1024).any(|&byte| byte == 0 || (byte < 32 && !byte.is_ascii_whitespace()))
}

/// As word2vec writes them: a word, a blank, its numbers in four bytes each, and perhaps a line's end.
fn binary(
    stream: &mut impl BufRead,
    path: &Path,
    words: &Words,
    [count, size, width]: [usize; 3],
    table: &mut [f32],
) -> Result<usize> {
    let data = |reason: String| Error::Data { path: path.into(), reason };
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => {
            data(format!("is cut short: it says that it holds {count} words, and ends before"))
        }
        _ => file::read_failed(path, error),
    };
    if size != width {
        return Err(data(format!("line 1: its vectors have {size} numbers; set `embedding` to {size} to use them")));
    }
    let (mut word, mut numbers, mut found) = (Vec::new(), vec![0; 4 * size], 0);
    for number in 1..=count {
        word.clear();
        stream.take(MAX_LINE as u64).read_until(b' ', &mut word).map_err(failed)?;
        if word.pop() != Some(b' ') {
            return Err(data(format!("is cut short, or damaged, at word {number} of {count}")));
        }
        stream.read_exact(&mut numbers).map_err(failed)?;
        let token = words.id(String::from_utf8_lossy(&word).trim_start_matches('\n'));
        if token == super::words::UNKNOWN {
            continue;
        }
        for (to, bytes) in table[token as usize * width..][..width].iter_mut().zip(numbers.chunks_exact(4)) {
            *to = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            if !to.is_finite() {
                return Err(data(format!("word {number}: a number is not finite")));
            }
        }
        found += 1;
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
        let (found, table) = read_text("bad\t3\t4\n. . . 5 6\nat name@domain.com 7 8\ngood 1 2\n").unwrap();
        let bad = words.id("bad") as usize;
        assert_eq!(
            (found, &table[2 * bad..2 * bad + 2], &table[2 * good..2 * good + 2]),
            (2, &[3.0, 4.0][..], &[1.0, 2.0][..])
        );
        assert!(read_text("good 1 2 3\n").unwrap_err().contains("`embedding` to 3"));
        assert!(read_text("good 1 2\nbad 1\n").unwrap_err().contains("line 2: 1 numbers, but 2 in the lines before"));
        assert!(read_text("a text\tpos\n").unwrap_err().contains("line 1: is not a word with numbers"));
        assert!(read_text("\u{feff}").is_err());
        assert!(read_text("good 1 x\n").unwrap_err().contains("line 1: \"x\""));
        assert!(read_text(&" ".repeat(MAX_LINE + 1)).unwrap_err().contains("line 1 is longer"));
        assert!(read_text("other 1 2\n").unwrap_err().contains("none of its words"));
    }

    #[test]
    fn vectors_of_word2vec_in_binary_are_read_and_cut_ones_refused() {
        let words = Words::fit(["good bad"].into_iter(), Level::Word, 10, 1, 0).unwrap();
        let mut bytes = b"3 2\n".to_vec();
        for (word, vector) in [("other", [9.0f32, 9.0]), ("good", [1.0, -2.0]), ("bad", [0.5, 4.0])] {
            bytes.extend(word.bytes());
            bytes.push(b' ');
            vector.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
            bytes.push(b'\n');
        }
        let read_bytes = |bytes: &[u8], width: usize| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(bytes).unwrap();
            let mut table = vec![7.0; 3 * width];
            read(file.path(), &words, width, &mut table).map(|found| (found, table)).map_err(|e| e.to_string())
        };
        let (found, table) = read_bytes(&bytes, 2).unwrap();
        let good = words.id("good") as usize;
        assert_eq!((found, &table[2 * good..2 * good + 2]), (2, &[1.0, -2.0][..]));
        assert!(read_bytes(&bytes[..bytes.len() - 6], 2).unwrap_err().contains("cut short"));
        assert!(read_bytes(&bytes, 3).unwrap_err().contains("set `embedding` to 2"));
    }
}
