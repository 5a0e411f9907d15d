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
const NO_TEXT: [(&[u8], &str); 13] = [
    (
        b"PK\x03\x04",
        "is a zip archive of several files, as workbooks of spreadsheets are, or one that is cut short; unpack it, or save the sheet as CSV",
    ),
    (b"\xfd7zXZ\x00", "is compressed by xz; unpack it: xz -d FILE"),
    (b"BZh", "is compressed by bzip2; unpack it: bzip2 -d FILE"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"PAR1", "is a Parquet file; write it as CSV, say with pandas: pd.read_parquet(FILE).to_csv(NEW)"),
    (b"SQLite format 3\x00", "is a database; write the table as CSV: sqlite3 -csv -header FILE \"select ..\" > NEW"),
    (b"ARROW1", "is a Feather or Arrow file; write it as CSV, say with pandas: pd.read_feather(FILE).to_csv(NEW)"),
    (b"\x89HDF", "is an HDF5 file; write its tables as CSV or .npz"),
    (b"MATLAB 5.0", "is a file of MATLAB; write it as CSV, or as .npz with scipy.io.loadmat and numpy.savez"),
    (b"X\n\0\0\0", "is a file of R; write it as CSV: write.csv(readRDS(FILE), NEW, row.names = FALSE)"),
    (b"\x80\x04\x95", "is a pickle of Python, which is never read; write it as CSV, JSON or .npz"),
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
        // Python writes some with `_`, and `iso2022_jp` without its first sign.
        let dashed = label.replace('_', "-").replace("iso2022", "iso-2022").replace("5hkscs", "5-hkscs");
        let labels = [label, &dashed].map(|label| encoding_rs::Encoding::for_label(label.as_bytes()));
        let found = labels.into_iter().flatten().find(|found| *found != encoding_rs::REPLACEMENT);
        found.map(|found| Encoding(Some(found))).ok_or_else(|| {
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
            if let Some(what) = escapes(rest) {
                return Err(fault(path, what));
            }
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

/// What a text is that changes its characters by escape sequences, and so looks like ASCII.
fn escapes(bytes: &[u8]) -> Option<&'static str> {
    let has = |sequence: &[u8]| bytes[..bytes.len().min(SAMPLE)].windows(sequence.len()).any(|at| at == sequence);
    match () {
        () if !bytes.contains(&0x1b) => None,
        () if has(b"\x1b$B") || has(b"\x1b$@") => {
            Some("by its escape sequences it is ISO-2022-JP (Japanese): `encoding = iso-2022-jp` reads it so")
        }
        () if has(b"\x1b$)C") => {
            Some("by its escape sequences it is ISO-2022-KR (Korean): iconv -f ISO-2022-KR -t UTF-8 FILE > NEW")
        }
        () => None,
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
    let guess = if guess == encoding_rs::EUC_JP && is_korean(bytes) { encoding_rs::EUC_KR } else { guess };
    let is_few = is_western(bytes) && oddities(encoding_rs::WINDOWS_1252, bytes).is_some();
    let found = if is_few && guess.is_single_byte() { encoding_rs::WINDOWS_1252 } else { guess };
    // What stands for letters in several bytes does not read as words by chance.
    let found = match oddities(found, bytes) {
        _ if !found.is_single_byte() => Some(found),
        Some(0) => Some(found),
        // Another one reads it better, or it alone reads it.
        Some(_) => OTHERS.into_iter().find(|other| oddities(other, bytes) == Some(0)).or(Some(found)),
        None => OTHERS.into_iter().find(|other| oddities(other, bytes).is_some()),
    };
    let Some(found) = found else {
        return "none of the encodings that are told by their bytes reads it as words: convert the file, or name its `encoding`"
            .into();
    };
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

/// Whether the bytes read as Korean in EUC-KR: Japanese in the like encoding has its own letters where there are few syllables.
fn is_korean(bytes: &[u8]) -> bool {
    let (text, _, is_wrong) = encoding_rs::EUC_KR.decode(&bytes[..bytes.len().min(SAMPLE)]);
    let letters = || text.chars().filter(|c| !c.is_ascii() && c.is_alphabetic());
    let syllables = letters().filter(|c| ('\u{ac00}'..='\u{d7a3}').contains(c)).count();
    (!is_wrong || bytes.len() > SAMPLE) && syllables > 0 && syllables * 20 >= letters().count() * 17
}

/// Encodings that the detector does not tell.
const OTHERS: [&encoding_rs::Encoding; 4] =
    [encoding_rs::X_MAC_CYRILLIC, encoding_rs::IBM866, encoding_rs::MACINTOSH, encoding_rs::WINDOWS_1254];

/// How much is odd where the bytes are read in this encoding; none where it reads them as no words. What is within words are letters,
/// those of Western Europe alone among ASCII's; and what would be Icelandic letters are few, for these bytes are Turkish ones more
/// often.
fn oddities(encoding: &'static encoding_rs::Encoding, bytes: &[u8]) -> Option<usize> {
    const ODD: usize = 20;
    const ICELANDIC: &str = "ÐÝÞðýþ";
    const WITHIN: &str = "’‘'´`·-–—\u{ad}ʼ";
    let text = encoding.decode_without_bom_handling(&bytes[..bytes.len().min(SAMPLE)]).0;
    let chars: Vec<char> = text.chars().collect();
    let is_western = encoding == encoding_rs::WINDOWS_1252 || encoding == encoding_rs::MACINTOSH;
    let is_other = |c: char| !c.is_ascii() && !c.is_whitespace();
    let others = chars.iter().filter(|c| is_other(**c)).count();
    let within = chars.windows(3).filter(|at| {
        let [before, c, after] = [at[0], at[1], at[2]];
        let are_letters = before.is_alphabetic() && after.is_alphabetic();
        let is_odd = !c.is_alphabetic() && !unicode_normalization::char::is_combining_mark(c) && !WITHIN.contains(c);
        is_other(c) && are_letters && is_odd
    });
    // Small letters do not stand before large ones.
    let turned = chars
        .windows(3)
        .filter(|at| is_other(at[1]) && at[0].is_lowercase() && at[1].is_uppercase() && at[2].is_lowercase());
    let icelandic = chars.iter().filter(|c| ICELANDIC.contains(**c)).count();
    let runs = chars.windows(4).filter(|at| at.iter().all(|c| is_other(*c) && c.is_alphabetic())).count();
    // Letters of the East of Europe and of the Near East do not stand in one word with those of ASCII.
    let is_eastern = |c: char| ('\u{370}'..'\u{700}').contains(&c);
    let mixed = chars.windows(2).filter(|at| {
        is_eastern(at[0]) && at[1].is_ascii_alphabetic() || at[0].is_ascii_alphabetic() && is_eastern(at[1])
    });
    let odd = within.count() + turned.count() + mixed.count();
    let is_plausible = odd * ODD <= others && !(is_western && (icelandic * ODD > others || runs * ODD > others));
    is_plausible.then_some(odd)
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
        for name in ["euc_kr", "iso2022_jp", "big5hkscs", "shift_jis"] {
            assert!(Encoding::named(name).is_ok(), "{name}");
        }
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
        // What begins with signs that other encodings have as well.
        let korean = "◎ 파이썬(Python)은 배우기 쉽고, 강력한 프로그래밍 언어입니다.\n☆첫가끝: 날아라 쓩쓩~ 닁큼! 전금없이 전혀\n";
        let error = read(&encoding_rs::EUC_KR.encode(korean).0, "auto").unwrap_err();
        assert!(error.contains("CP949") && error.contains("파이썬"), "{error}");
        let error = read(b"Python \x1b$B$N3+H/$O\x1b(B\n", "auto").unwrap_err();
        assert!(error.contains("ISO-2022-JP"), "{error}");
        let turkish = "İstanbul, Türkiye'nin en kalabalık, iktisadi ve kültürel açıdan en önemli şehri.\n\
                       İktisadi büyüklük açıdan dünyada ilk sıralarda, nüfus açısından belediye sınırları içinde\n";
        let error = read(&encoding_rs::WINDOWS_1254.encode(turkish).0, "auto").unwrap_err();
        assert!(error.contains("windows-1254") && error.contains("İstanbul"), "{error}");
        let russian = "В гимназии он не был в числе первых учеников, исключение составляли математика и латынь\n";
        let error = read(&encoding_rs::X_MAC_CYRILLIC.encode(russian).0, "auto").unwrap_err();
        assert!(error.contains("x-mac-cyrillic") && error.contains("В гимназии"), "{error}");
        // tímto budeš, budem byli, jsem rád in CP852, which the web does not know.
        let error = read(b"t\xa1mto\tbude\xe7\nbudem\tbyli\njsem\tr\xa0d\n", "auto").unwrap_err();
        assert!(error.contains("none of the encodings"), "{error}");
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
