//! Bytes of text files to characters: UTF-8, UTF-16 by its mark or its zeros, and every other encoding where it is named.

use std::borrow::Cow;
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE};

use super::HAS_FILES;
use super::read::fault;
use crate::error::{Error, Result};

/// Names that people use and the WHATWG's list of labels lacks.
const OTHER_NAMES: [(&str, &str); 7] = [
    ("cp949", "euc-kr"),
    ("ms949", "euc-kr"),
    ("uhc", "euc-kr"),
    ("cp932", "shift_jis"),
    ("cp936", "gbk"),
    ("cp950", "big5"),
    ("utf8-sig", "utf-8"),
];
/// Bytes by which zeros and other encodings are told.
const SAMPLE: usize = 1 << 16;

/// Beginnings of files that hold no text, and what to do with each.
const NO_TEXT: [(&[u8], &str); 8] = [
    (b"PK\x03\x04", "is a zip archive, as workbooks of spreadsheets are; unpack it, or save the sheet as CSV"),
    (b"\xfd7zXZ\x00", "is compressed by xz; unpack it: xz -d FILE"),
    (b"BZh", "is compressed by bzip2; unpack it: bzip2 -d FILE"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"PAR1", "is a Parquet file; write it as CSV, say with pandas: pd.read_parquet(FILE).to_csv(NEW)"),
    (b"SQLite format 3\x00", "is a database; write the table as CSV: sqlite3 -csv -header FILE \"select ..\" > NEW"),
    (b"%PDF", "is a PDF document; extract its text first"),
    (b"\xd0\xcf\x11\xe0", "is an old Office document; save the sheet as CSV"),
];

/// How the bytes of a text file are its characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding(Option<&'static encoding_rs::Encoding>);

impl Encoding {
    /// The encoding of this name, as the web and Python name them: `cp949`, `shift_jis`, `latin1`. `auto` is UTF-8, or UTF-16
    /// where a mark or zeros tell it.
    ///
    /// # Errors
    /// [`Error::Setting`] of `encoding`.
    pub fn named(name: &str) -> Result<Encoding> {
        let lower = name.trim().to_lowercase();
        if lower.is_empty() || lower == "auto" {
            return Ok(Encoding(None));
        }
        let label = OTHER_NAMES.iter().find(|(other, _)| *other == lower).map_or(lower.as_str(), |(_, label)| label);
        encoding_rs::Encoding::for_label(label.as_bytes()).map(|found| Encoding(Some(found))).ok_or_else(|| {
            let want =
                "is no encoding that is known; names are such as utf-8, utf-16le, cp949, shift_jis, gb18030 and cp1252";
            Error::setting("encoding", name, want)
        })
    }

    /// Whether nothing is said of it.
    pub fn is_auto(self) -> bool {
        self.0.is_none()
    }

    /// The characters, without a byte order mark.
    ///
    /// # Errors
    /// [`Error::Data`] with the place of the first bytes that are none, and with the encoding that they seem to be in.
    pub fn decode<'a>(self, bytes: &'a [u8], path: &Path) -> Result<Cow<'a, str>> {
        if let Some((_, what)) = NO_TEXT.iter().find(|(head, _)| bytes.starts_with(head)) {
            return Err(fault(path, *what));
        }
        let marked = encoding_rs::Encoding::for_bom(bytes).map(|(found, len)| (found, &bytes[len..]));
        let (encoding, rest) = match (self.0, marked) {
            // A mark is more certain than a name.
            (_, Some(marked)) => marked,
            (Some(named), None) => (named, bytes),
            (None, None) => (utf16_by_zeros(bytes).unwrap_or(UTF_8), bytes),
        };
        if encoding == UTF_8 {
            return std::str::from_utf8(rest).map(Cow::Borrowed).map_err(|error| {
                fault(path, format!("{}; {}", place(rest, error.valid_up_to(), 0), advice(rest, error.valid_up_to())))
            });
        }
        if !HAS_FILES {
            return Err(fault(path, "is not UTF-8"));
        }
        encoding.decode_without_bom_handling_and_without_replacement(rest).ok_or_else(|| {
            let at = first_malformed(encoding, rest);
            let line = encoding.decode_without_bom_handling(&rest[..at]).0.matches('\n').count() + 1;
            fault(path, format!("line {line}: byte 0x{:02X} is not {}", rest.get(at).unwrap_or(&0), encoding.name()))
        })
    }
}

/// As [`Encoding::decode`] of UTF-8, for bytes after `lines` lines.
///
/// # Errors
/// The place of the first byte that is not UTF-8.
pub(crate) fn utf8_after<'a>(lines: usize, bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    std::str::from_utf8(bytes)
        .map_err(|error| fault(path, format!("{}; convert it to UTF-8", place(bytes, error.valid_up_to(), lines))))
}

/// Where the first byte stands that is not UTF-8.
fn place(bytes: &[u8], at: usize, lines: usize) -> String {
    let before = &bytes[..at];
    let line = lines + before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let column = String::from_utf8_lossy(&before[line_start(bytes, at)..]).chars().count() + 1;
    format!("line {line}: byte 0x{:02X} at character {column} is not UTF-8", bytes[at])
}

fn line_start(bytes: &[u8], at: usize) -> usize {
    bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)
}

/// What the bytes seem to be, and how their line would read.
fn advice(bytes: &[u8], at: usize) -> String {
    const SHOWN: usize = 30;
    if !HAS_FILES {
        return "convert it to UTF-8".into();
    }
    let controls =
        bytes.iter().take(SAMPLE).filter(|&&b| b < 9 || (14..27).contains(&b) || (28..32).contains(&b)).count();
    if controls * 100 > bytes.len().min(SAMPLE) {
        return "it seems to be no text at all".into();
    }
    let before = &bytes[..at];
    if before.strip_prefix("\u{feff}".as_bytes()).unwrap_or(before).iter().any(|byte| *byte >= 0x80) {
        return "what stands before it is: mend that line, or write the file again as UTF-8".into();
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
    // Lines with other letters than those of ASCII, from the first on: the longer, the surer.
    detector.feed(&bytes[line_start(bytes, at)..], true);
    let guess = detector.guess(None, Utf8Detection::Deny);
    let found = if is_western(bytes) && guess.is_single_byte() { encoding_rs::WINDOWS_1252 } else { guess };
    let line = &bytes[line_start(bytes, at)..];
    let line = &line[..line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len())];
    let (text, _, is_wrong) = found.decode(line);
    if is_wrong {
        return "convert the file, or name its `encoding`".into();
    }
    // As much as shows the letters in question.
    let skipped = found.decode(&line[..at - line_start(bytes, at)]).0.chars().count().saturating_sub(SHOWN / 2);
    let shown: String = text.trim_end().chars().skip(skipped).take(SHOWN).collect();
    let name = match found.name() {
        "EUC-KR" => "CP949 (EUC-KR)",
        "Shift_JIS" => "CP932 (Shift_JIS)",
        "windows-1252" => "CP1252 (Western European)",
        name => name,
    };
    format!(
        "by its bytes it is {name}, in which this reads {shown:?}: `encoding = {}` reads it so",
        found.name().to_lowercase()
    )
}

/// Whether letters beside those of ASCII stand alone within words, as accents do, and are too few to tell languages apart.
fn is_western(bytes: &[u8]) -> bool {
    const FEW: usize = 200;
    let is_other = |byte: &u8| *byte >= 0x80;
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let others = sample.iter().filter(|byte| is_other(byte)).count();
    let neighbours = sample.windows(2).filter(|pair| pair.iter().all(is_other)).count();
    others < FEW && neighbours * 4 < others
}

/// UTF-16 without a mark: of letters of ASCII every second byte is zero.
fn utf16_by_zeros(bytes: &[u8]) -> Option<&'static encoding_rs::Encoding> {
    let sample = &bytes[..bytes.len().min(SAMPLE)];
    let zeros = |offset: usize| sample.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (even, odd, pairs) = (zeros(0), zeros(1), sample.len() / 2);
    match () {
        () if pairs < 2 || bytes.len() % 2 == 1 => None,
        () if odd * 5 > pairs && even * 20 <= odd => Some(UTF_16LE),
        () if even * 5 > pairs && odd * 20 <= even => Some(UTF_16BE),
        () => None,
    }
}

/// The first byte of what is no character: halving finds it.
fn first_malformed(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> usize {
    let is_valid = |len: usize| {
        let mut decoder = encoding.new_decoder_without_bom_handling();
        let mut out = String::with_capacity(decoder.max_utf8_buffer_length(len).unwrap_or(0));
        let (result, _) = decoder.decode_to_string_without_replacement(&bytes[..len], &mut out, false);
        result == encoding_rs::DecoderResult::InputEmpty
    };
    let (mut valid, mut wrong) = (0, bytes.len());
    while wrong - valid > 1 {
        let middle = valid + (wrong - valid) / 2;
        if is_valid(middle) { valid = middle } else { wrong = middle }
    }
    wrong.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], name: &str) -> std::result::Result<String, String> {
        let encoding = Encoding::named(name).unwrap();
        encoding.decode(bytes, Path::new("t.csv")).map(Cow::into_owned).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_are_read_by_their_marks_their_zeros_and_their_names() {
        assert_eq!(read("\u{feff}é\n".as_bytes(), "auto").unwrap(), "é\n");
        let text = "a,b\n1,é한\n";
        for is_little in [true, false] {
            let unit = |unit: u16| if is_little { unit.to_le_bytes() } else { unit.to_be_bytes() };
            let plain: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
            assert_eq!(read(&plain, "auto").unwrap(), text, "without a mark");
            let marked: Vec<u8> = unit(0xfeff).into_iter().chain(plain).collect();
            assert_eq!(read(&marked, "cp949").unwrap(), text, "a mark is more certain");
        }
        let korean = "문장,감정\n좋아요,긍정\n별로였어요,부정\n";
        let bytes = encoding_rs::EUC_KR.encode(korean).0;
        for name in ["cp949", "euc-kr", "UHC"] {
            assert_eq!(read(&bytes, name).unwrap(), korean);
        }
        assert_eq!(read(b"it\x92s", "cp1252").unwrap(), "it’s");
        assert!(Encoding::named("klingon").unwrap_err().to_string().contains("cp949"));
    }

    #[test]
    fn another_encoding_is_named_and_shown_and_never_a_wrong_one() {
        let german = "Müller wohnt in der Straße 5, größer als früher";
        for (encoding, text, name) in [
            (encoding_rs::EUC_KR, "문장,감정,점수\n좋아요 0,긍정,1\n별로 0,부정,0\n", "CP949"),
            (encoding_rs::SHIFT_JIS, "文章,感情\nとても良い映画でした,良い\nつまらない,悪い\n", "Shift_JIS"),
            (encoding_rs::WINDOWS_1252, german, "CP1252"),
            (encoding_rs::WINDOWS_1251, "Это хороший фильм, очень хороший фильм\n", "windows-1251"),
            (encoding_rs::GBK, "这部电影非常好看，我很喜欢这个故事\n", "GBK"),
        ] {
            let error = read(&encoding.encode(text).0, "auto").unwrap_err();
            assert!(error.contains(name) && error.contains("`encoding = "), "{name}: {error}");
        }
        let error = read(b"ok\nna\xefve, caf\xe9, gar\xe7on\n", "auto").unwrap_err();
        assert!(
            error.starts_with("t.csv: line 2: byte 0xEF at character 3 is not UTF-8") && error.contains("naïve"),
            "{error}"
        );
        assert!(read(b"na\xefve", "auto").unwrap_err().contains("CP1252"));
        let mixed = [&b"gr\xc3\xb6\xc3\x9fer\n".repeat(3)[..], b"gr\xf6\xdfer\n"].concat();
        let error = read(&mixed, "auto").unwrap_err();
        assert!(error.contains("line 4: byte 0xF6 at character 3 is not UTF-8; what stands before it is"), "{error}");
        assert!(read(b"\xff\x00\x01\x02\x03\x90\x00", "auto").unwrap_err().contains("no text at all"));
        assert!(read(b"PK\x03\x04..", "auto").unwrap_err().contains("zip archive"));
        let error = read(b"ok\nok\n\xff\xff", "cp949").unwrap_err();
        assert!(error.contains("line 3: byte 0xFF is not EUC-KR"), "{error}");
    }
}
