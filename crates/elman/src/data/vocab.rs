//! Vocabularies of characters (Unicode scalar values), bytes, words or parts of words; of many characters the rare ones are
//! spelled by their bytes.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::pieces;
use super::words::Level;
use crate::error::{Error, Result};

/// Different characters of a text of which all are tokens, where their number is left to the text.
const FEW: usize = 512;
/// Of more, those that make this share of it: an output and a row of weights for each of the others would cost a network far
/// more than the few tokens by which they are spelled.
const USUAL: f64 = 0.998;

/// Words or their parts, where their number is not given.
pub(crate) const PIECES: usize = 8000;

/// The bytes of which UTF-8 makes characters beyond ASCII.
fn spelling() -> Vec<u8> {
    (0x80..=0xBF).chain(0xC2..=0xF4).collect()
}

/// The tokens a model knows, in any order; a token's id is its index.
///
/// ```
/// use std::path::Path;
///
/// use elman::data::Vocab;
///
/// let vocab = Vocab::of("hello".as_bytes(), false, Path::new("greeting.txt"))?;
/// assert_eq!(vocab.len(), 4);
/// let (ids, _) = vocab.encode("hole".as_bytes(), false)?;
/// assert_eq!(vocab.decode(&ids), "hole");
/// assert!(vocab.encode("help".as_bytes(), false).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vocab {
    /// Unicode scalar values, stored as one string.
    Chars(String),
    /// Bytes: any file.
    Bytes(Vec<u8>),
    /// Frequent characters and, behind them, bytes: other characters are spelled by those of their UTF-8 (byte fallback, as in
    /// SentencePiece).
    Spelled {
        /// The characters, stored as one string.
        chars: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Words with the blank before them or parts of words, every character among them.
    Pieces {
        /// Word or subword.
        level: Level,
        /// The pieces.
        tokens: Vec<String>,
    },
}

/// A token that is not in the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The token, printable.
    pub token: String,
    /// Byte offset in the text.
    pub offset: usize,
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {} is not in the model's vocabulary", self.token, self.offset)
    }
}

impl std::error::Error for Unseen {}

impl Vocab {
    /// The characters or, with `bytes`, the bytes that occur in a text.
    ///
    /// # Errors
    /// If the text is empty, or is not UTF-8 without `bytes`; the message names `path`.
    pub fn of(text: &[u8], bytes: bool, path: &Path) -> Result<Vocab> {
        if text.is_empty() {
            let reason = "the file is empty; there is nothing to train on".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        if bytes {
            let mut seen = [false; 256];
            text.iter().for_each(|&byte| seen[usize::from(byte)] = true);
            return Ok(Vocab::Bytes((0..=255).filter(|&byte| seen[usize::from(byte)]).collect()));
        }
        let tokens: std::collections::BTreeSet<char> = utf8(text, path)?.chars().collect();
        Ok(Vocab::Chars(tokens.into_iter().collect()))
    }

    /// These and behind them what another vocabulary has beside them: all its tokens, or of parts of words its characters; none
    /// where the two are of different kinds.
    pub(crate) fn joined(&self, other: &Vocab) -> Option<Vocab> {
        match (self, other) {
            (Vocab::Chars(old), Vocab::Chars(new)) => {
                Some(Vocab::Chars(old.chars().chain(new.chars().filter(|c| !old.contains(*c))).collect()))
            }
            // What it does not have it spells; a character of ASCII is its own byte.
            (Vocab::Spelled { chars, bytes }, Vocab::Chars(new) | Vocab::Spelled { chars: new, .. }) => {
                let is_new = |c: &char| c.is_ascii() && !self.has(*c);
                let bytes = bytes.iter().copied().chain(new.chars().filter(is_new).map(|c| c as u8)).collect();
                Some(Vocab::Spelled { chars: chars.clone(), bytes })
            }
            (Vocab::Chars(old), Vocab::Spelled { chars: new, bytes }) => {
                let chars = old.chars().chain(new.chars().filter(|c| !old.contains(*c))).collect();
                Some(Vocab::Spelled { chars, bytes: bytes.clone() })
            }
            (Vocab::Bytes(old), Vocab::Bytes(new)) => {
                Some(Vocab::Bytes(old.iter().chain(new.iter().filter(|byte| !old.contains(byte))).copied().collect()))
            }
            (Vocab::Pieces { level, tokens: old }, Vocab::Pieces { level: other, tokens: new }) if level == other => {
                let known: HashSet<&String> = old.iter().collect();
                let is_new =
                    |token: &&String| !known.contains(token) && (*level == Level::Word || token.chars().count() == 1);
                let tokens = old.iter().chain(new.iter().filter(is_new)).cloned().collect();
                Some(Vocab::Pieces { level: *level, tokens })
            }
            _ => None,
        }
    }

    /// The characters of a text and, as `level` says, its most frequent words or parts of words: at most `size` in all, words
    /// that occur at least `least` times. Of characters alone, those of ASCII and the most frequent others up to `size`, by the
    /// text where there is none; the rest is spelled.
    ///
    /// # Errors
    /// As [`Vocab::of`].
    pub fn of_level(text: &[u8], level: Level, size: Option<usize>, least: usize, path: &Path) -> Result<Vocab> {
        let characters = Self::of(text, false, path)?;
        let text = utf8(text, path)?;
        let tokens = match level {
            Level::Char => return Ok(characters.spelling_rare(text, size)),
            Level::Word => pieces::most_frequent(text, size.unwrap_or(PIECES), least as u64),
            Level::Subword => pieces::merged(text, size.unwrap_or(PIECES)),
        };
        Ok(Vocab::Pieces { level, tokens })
    }

    /// All characters of a text, or the most frequent `size` of them and bytes for the rest.
    fn spelling_rare(self, text: &str, size: Option<usize>) -> Vocab {
        let len = self.len();
        if len <= size.unwrap_or(FEW) {
            return self;
        }
        let mut counts: HashMap<char, usize> = HashMap::new();
        text.chars().for_each(|c| *counts.entry(c).or_default() += 1);
        let all: usize = counts.values().sum();
        let mut counts: Vec<(char, usize)> = counts.into_iter().collect();
        // Those of ASCII first: no byte spells them.
        counts.sort_unstable_by_key(|&(c, count)| (!c.is_ascii(), std::cmp::Reverse(count), c));
        let (mut chars, mut found) = (Vec::new(), 0);
        for (c, count) in counts {
            let is_kept = size.map_or((found as f64) < USUAL * all as f64, |size| chars.len() < size);
            if !is_kept && !c.is_ascii() {
                break;
            }
            chars.push(c);
            found += count;
        }
        if chars.len() == len {
            return self;
        }
        chars.sort_unstable();
        Vocab::Spelled { chars: chars.into_iter().collect(), bytes: spelling() }
    }

    /// Whether a token comes twice: its second id would never be found.
    pub fn has_duplicates(&self) -> bool {
        match self {
            Vocab::Chars(tokens) => tokens.chars().collect::<HashSet<_>>().len() < self.len(),
            Vocab::Bytes(tokens) => tokens.iter().collect::<HashSet<_>>().len() < self.len(),
            Vocab::Spelled { chars, bytes } => {
                let mut seen = HashSet::new();
                let chars = chars.chars().map(|c| c.to_string().into_bytes());
                chars.chain(bytes.iter().map(|byte| vec![*byte])).any(|token| !seen.insert(token))
            }
            Vocab::Pieces { tokens, .. } => tokens.iter().collect::<HashSet<_>>().len() < self.len(),
        }
    }

    /// Whether a text with this character can be read.
    pub fn has(&self, c: char) -> bool {
        match self {
            Vocab::Chars(tokens) => tokens.contains(c),
            Vocab::Bytes(_) => true,
            Vocab::Spelled { chars, bytes } => {
                chars.contains(c) || c.to_string().bytes().all(|byte| bytes.contains(&byte))
            }
            Vocab::Pieces { tokens, .. } => {
                tokens.iter().any(|token| token.len() == c.len_utf8() && token.starts_with(c))
            }
        }
    }

    /// `V`.
    pub fn len(&self) -> usize {
        match self {
            Vocab::Chars(tokens) => tokens.chars().count(),
            Vocab::Bytes(tokens) => tokens.len(),
            Vocab::Spelled { chars, bytes } => chars.chars().count() + bytes.len(),
            Vocab::Pieces { tokens, .. } => tokens.len(),
        }
    }

    /// Whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name of the unit: "character", "byte", "word", "subword", or "symbol" for a character or a byte of one that is
    /// spelled.
    pub fn unit(&self) -> &'static str {
        match self {
            Vocab::Pieces { level, .. } => level.unit(),
            Vocab::Chars(_) => "character",
            Vocab::Bytes(_) => "byte",
            Vocab::Spelled { .. } => "symbol",
        }
    }

    /// The ids of a text. With `skip`, unknown tokens are left out and counted.
    ///
    /// # Errors
    /// Without `skip`, the first token that is unknown.
    pub fn encode(&self, text: &[u8], skip: bool) -> std::result::Result<(Vec<u32>, usize), Unseen> {
        let mut ids = Vec::with_capacity(text.len());
        let mut skipped = 0;
        let mut push = |id: Option<usize>, token: &dyn Fn() -> String, offset: usize| match id {
            Some(id) => {
                ids.push(id as u32);
                Ok(())
            }
            None if skip => {
                skipped += 1;
                Ok(())
            }
            None => Err(Unseen { token: token(), offset }),
        };
        match self {
            Vocab::Bytes(tokens) => {
                let mut table = [None; 256];
                tokens.iter().enumerate().for_each(|(i, &byte)| table[usize::from(byte)] = Some(i));
                for (offset, &byte) in text.iter().enumerate() {
                    push(table[usize::from(byte)], &|| format!("byte 0x{byte:02X}"), offset)?;
                }
            }
            Vocab::Chars(tokens) | Vocab::Spelled { chars: tokens, .. } => {
                let mut spelling = [None; 256];
                if let Vocab::Spelled { bytes, .. } = self {
                    let first = tokens.chars().count();
                    bytes.iter().zip(first..).for_each(|(byte, id)| spelling[usize::from(*byte)] = Some(id));
                }
                // A table for ASCII.
                let mut ascii = [None; 128];
                let mut others: HashMap<char, usize> = HashMap::new();
                for (id, c) in tokens.chars().enumerate() {
                    match ascii.get_mut(c as usize) {
                        Some(place) => *place = Some(id),
                        None => _ = others.insert(c, id),
                    }
                }
                let mut offset = 0;
                for chunk in text.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        let id = match ascii.get(c as usize) {
                            Some(id) => *id,
                            None => others.get(&c).copied(),
                        };
                        let mut bytes = [0; 4];
                        let bytes = c.encode_utf8(&mut bytes).as_bytes();
                        match bytes.iter().all(|byte| spelling[usize::from(*byte)].is_some()) {
                            true if id.is_none() => {
                                for byte in bytes {
                                    push(spelling[usize::from(*byte)], &String::new, offset)?;
                                }
                            }
                            _ => push(id, &|| format!("{c:?}"), offset)?,
                        }
                        offset += bytes.len();
                    }
                    for &byte in chunk.invalid() {
                        push(None, &|| format!("byte 0x{byte:02X} (not UTF-8)"), offset)?;
                        offset += 1;
                    }
                }
            }
            Vocab::Pieces { tokens, .. } => {
                let index = pieces::Index::of(tokens);
                let mut offset = 0;
                for chunk in text.utf8_chunks() {
                    for mut word in pieces::words(chunk.valid()) {
                        while let Some(c) = word.chars().next() {
                            let found = index.longest(word);
                            push(found.map(|(id, _)| id as usize), &|| format!("{c:?}"), offset)?;
                            let len = found.map_or(c.len_utf8(), |(_, len)| len);
                            word = &word[len..];
                            offset += len;
                        }
                    }
                    for &byte in chunk.invalid() {
                        push(None, &|| format!("byte 0x{byte:02X} (not UTF-8)"), offset)?;
                        offset += 1;
                    }
                }
            }
        }
        Ok((ids, skipped))
    }

    /// The bytes of each id.
    pub fn decoder(&self) -> Decoder {
        let tokens = match self {
            Vocab::Bytes(tokens) => tokens.iter().map(|&byte| vec![byte]).collect(),
            Vocab::Chars(tokens) => tokens.chars().map(|c| c.to_string().into_bytes()).collect(),
            Vocab::Spelled { chars, bytes } => {
                let chars = chars.chars().map(|c| c.to_string().into_bytes());
                chars.chain(bytes.iter().map(|byte| vec![*byte])).collect()
            }
            Vocab::Pieces { tokens, .. } => tokens.iter().map(|token| token.clone().into_bytes()).collect(),
        };
        Decoder { tokens, held: Vec::new() }
    }

    /// A token as it is shown: its text, or the number of a byte that is none alone.
    pub(crate) fn name(&self, id: u32) -> String {
        match self.decoder().bytes(id) {
            [byte] if !byte.is_ascii() => format!("byte 0x{byte:02X}"),
            bytes => String::from_utf8_lossy(bytes).into_owned(),
        }
    }

    /// The text of ids; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut decoder = self.decoder();
        let mut text: String = ids.iter().map(|&id| decoder.push(id)).collect();
        text.push_str(&decoder.finish());
        text
    }
}

/// Checks that a text is UTF-8.
///
/// # Errors
/// The position of the first invalid byte.
pub fn utf8<'a>(text: &'a [u8], path: &Path) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        let byte = text[error.valid_up_to()];
        let reason =
            format!("byte 0x{byte:02X} at line {line}, column {column} is not UTF-8; convert the file, or set `bytes`");
        Error::Data { path: path.into(), reason }
    })
}

/// Streaming decoder: a multi-byte character is emitted once its last byte has arrived.
#[derive(Clone, Debug)]
pub struct Decoder {
    tokens: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Decoder {
    /// The bytes of one id.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.tokens.get(id as usize).map_or(&[], |token| token)
    }

    /// Takes a id; returns the text completed by it.
    pub fn push(&mut self, id: u32) -> String {
        if let Some(token) = self.tokens.get(id as usize) {
            self.held.extend_from_slice(token);
        }
        let mut text = String::new();
        loop {
            match std::str::from_utf8(&self.held) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.held.clear();
                    return text;
                }
                Err(error) => {
                    let valid = error.valid_up_to();
                    text.push_str(&String::from_utf8_lossy(&self.held[..valid]));
                    match error.error_len() {
                        // Bytes that cannot be completed.
                        Some(len) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            self.held.drain(..valid + len);
                        }
                        None => {
                            self.held.drain(..valid);
                            return text;
                        }
                    }
                }
            }
        }
    }

    /// The rest of an incomplete character, as U+FFFD.
    pub fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.held).into_owned();
        self.held.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vocab {
        Vocab::of(text.as_bytes(), false, Path::new("test.txt")).unwrap()
    }

    #[test]
    fn characters_of_any_script_come_back() {
        let text = "naïve 🦀 Ωmega\r\n\u{feff}end";
        let vocab = chars(text);
        let (ids, skipped) = vocab.encode(text.as_bytes(), false).unwrap();
        assert_eq!((vocab.decode(&ids).as_str(), skipped), (text, 0));
        assert_eq!(ids.len(), text.chars().count());
    }

    #[test]
    fn tokens_are_found_in_any_order() {
        let vocab = Vocab::Chars("zé한ab".into());
        assert_eq!(vocab.encode("ab한éz".as_bytes(), false).unwrap().0, [3, 4, 2, 1, 0]);
        assert!(!vocab.has_duplicates() && Vocab::Chars("aba".into()).has_duplicates());
    }

    #[test]
    fn texts_in_words_and_parts_of_words_come_back() {
        let text = "the cat sat on the mat, the cat saw the rat. ".repeat(5) + "zebra 🦀\n";
        for level in [Level::Word, Level::Subword] {
            let vocab = Vocab::of_level(text.as_bytes(), level, Some(60), 2, Path::new("t.txt")).unwrap();
            let (ids, skipped) = vocab.encode(text.as_bytes(), false).unwrap();
            assert_eq!((vocab.decode(&ids), skipped), (text.clone(), 0), "{level:?}");
            assert!(ids.len() * 2 < text.chars().count() && vocab.len() <= 60, "{level:?}: {}", ids.len());
            let json = serde_json::to_string(&vocab).unwrap();
            assert_eq!(serde_json::from_str::<Vocab>(&json).unwrap(), vocab);
            assert!(vocab.encode("the cat! ".as_bytes(), false).unwrap_err().token.contains('!'));
        }
    }

    #[test]
    fn of_many_characters_the_rare_ones_are_spelled_and_come_back() {
        // 600 different ones, once each, among many of few.
        let rare: String = (0..600).filter_map(|i| char::from_u32(0x4E00 + i)).collect();
        let usual = "ünter den Bäumen ".repeat(40_000);
        let text = format!("{usual}{rare}\u{7F}🦀");
        let of = |text: &str, size| Vocab::of_level(text.as_bytes(), Level::Char, size, 2, Path::new("t.txt")).unwrap();
        let vocab = of(&text, None);
        let Vocab::Spelled { chars: kept, bytes } = &vocab else { panic!("{vocab:?}") };
        assert_eq!((kept.as_str(), bytes.len()), (" Bdemnrtu\u{7F}äü", 115));
        assert!(!vocab.has_duplicates() && vocab.has('🦀') && !vocab.has('Z') && vocab.unit() == "symbol");
        // Characters that it never saw too, but for those of ASCII.
        for text in [text.as_str(), "Ψ em"] {
            let (ids, _) = vocab.encode(text.as_bytes(), false).unwrap();
            assert_eq!(vocab.decode(&ids), text);
        }
        assert_eq!(vocab.encode("aü".as_bytes(), false).unwrap_err().token, "'a'");
        assert_eq!(vocab.encode("aü".as_bytes(), true).unwrap(), (vec![11], 1));
        let json = serde_json::to_string(&vocab).unwrap();
        assert_eq!(serde_json::from_str::<Vocab>(&json).unwrap(), vocab);
        // So many again as were chosen, and all where so many are asked for, or the text has few.
        assert_eq!(of(&text, Some(kept.chars().count())), vocab);
        assert!(matches!(of(&text, Some(1000)), Vocab::Chars(_)) && matches!(of(&usual, None), Vocab::Chars(_)));
        assert_eq!(vocab.joined(&chars("한n")), Some(vocab.clone()));
        let grown = vocab.joined(&chars("Zen 한")).unwrap();
        assert_eq!((grown.len(), grown.has_duplicates()), (vocab.len() + 1, false));
        let (ids, _) = grown.encode("Zün한".as_bytes(), false).unwrap();
        assert_eq!((ids[0] as usize, grown.decode(&ids).as_str()), (vocab.len(), "Zün한"));
        let grown = chars("한b").joined(&vocab).unwrap();
        assert_eq!((grown.encode("한b".as_bytes(), false).unwrap().0, grown.len()), (vec![1, 0], 13 + 1 + 115));
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).rev().collect();
        let vocab = Vocab::of(&all, true, Path::new("test.bin")).unwrap();
        assert_eq!(vocab.len(), 256);
        let (ids, _) = vocab.encode(&all, false).unwrap();
        let decoder = vocab.decoder();
        let back: Vec<u8> = ids.iter().flat_map(|&id| decoder.bytes(id).to_vec()).collect();
        assert_eq!(back, all);
    }

    #[test]
    fn a_multi_byte_character_is_emitted_whole() {
        let text = "é🦀x";
        let vocab = Vocab::of(text.as_bytes(), true, Path::new("test")).unwrap();
        let (ids, _) = vocab.encode(text.as_bytes(), false).unwrap();
        let mut decoder = vocab.decoder();
        let parts: Vec<String> = ids.iter().map(|&id| decoder.push(id)).collect();
        assert_eq!(parts, ["", "é", "", "", "", "🦀", "x"]);
        assert_eq!(decoder.push(ids[0]), "");
        assert_eq!(decoder.push(ids[6]), "\u{fffd}x");
    }

    #[test]
    fn an_unseen_token_is_named_or_skipped_as_asked() {
        let vocab = chars("abc\n");
        let unseen = vocab.encode("ab€c".as_bytes(), false).unwrap_err();
        assert_eq!((unseen.token.as_str(), unseen.offset), ("'€'", 2));
        assert_eq!(vocab.encode("ab€c".as_bytes(), true).unwrap(), (vec![1, 2, 3], 1));
        assert!(vocab.encode(b"a\xffb", false).unwrap_err().token.contains("0xFF"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_position_and_remedy() {
        let error = Vocab::of(b"ok\nna\xefve", false, Path::new("book.txt")).unwrap_err().to_string();
        assert_eq!(error, "book.txt: byte 0xEF at line 2, column 3 is not UTF-8; convert the file, or set `bytes`");
        assert!(Vocab::of(b"", true, Path::new("book.txt")).unwrap_err().to_string().contains("empty"));
    }

    #[test]
    fn a_vocabulary_survives_json() {
        for vocab in [chars("a\"\\\n🦀"), Vocab::of(&[0, 10, 255], true, Path::new("x")).unwrap()] {
            let json = serde_json::to_string(&vocab).unwrap();
            assert_eq!(serde_json::from_str::<Vocab>(&json).unwrap(), vocab);
        }
    }
}
