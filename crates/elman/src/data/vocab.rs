//! Symbols and their numbers: characters (Unicode scalar values) or bytes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The symbols a model knows, in rising order; a symbol's token is its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vocab {
    /// Unicode scalar values, written as one string.
    Chars(String),
    /// Bytes: any file at all.
    Bytes(Vec<u8>),
}

/// A symbol that is not in the vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// The symbol, as a person would read it.
    pub symbol: String,
    /// Where it stands, in bytes from the beginning.
    pub offset: usize,
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {} is not among the symbols the model was trained on", self.symbol, self.offset)
    }
}

impl Vocab {
    /// The characters or, with `bytes`, the bytes that occur in a text.
    ///
    /// # Errors
    /// If the text is empty, or is not UTF-8 where characters are wanted; `path` is what the message names.
    pub fn of(text: &[u8], bytes: bool, path: &Path) -> Result<Vocab> {
        if text.is_empty() {
            let reason = "the file is empty; there is nothing to learn from".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        if bytes {
            let mut seen = [false; 256];
            text.iter().for_each(|&byte| seen[usize::from(byte)] = true);
            return Ok(Vocab::Bytes((0..=255).filter(|&byte| seen[usize::from(byte)]).collect()));
        }
        let symbols: std::collections::BTreeSet<char> = utf8(text, path)?.chars().collect();
        Ok(Vocab::Chars(symbols.into_iter().collect()))
    }

    /// `V`.
    pub fn len(&self) -> usize {
        match self {
            Vocab::Chars(symbols) => symbols.chars().count(),
            Vocab::Bytes(symbols) => symbols.len(),
        }
    }

    /// Whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What one symbol is called: "character" or "byte".
    pub fn unit(&self) -> &'static str {
        match self {
            Vocab::Chars(_) => "character",
            Vocab::Bytes(_) => "byte",
        }
    }

    /// The tokens of a text. With `skip`, symbols the vocabulary lacks are left out and counted.
    ///
    /// # Errors
    /// Without `skip`, the first symbol that is unknown.
    pub fn encode(&self, text: &[u8], skip: bool) -> std::result::Result<(Vec<u32>, usize), Unseen> {
        let mut tokens = Vec::with_capacity(text.len());
        let mut skipped = 0;
        let mut push = |token: Option<usize>, symbol: &dyn Fn() -> String, offset: usize| match token {
            Some(token) => {
                tokens.push(token as u32);
                Ok(())
            }
            None if skip => {
                skipped += 1;
                Ok(())
            }
            None => Err(Unseen { symbol: symbol(), offset }),
        };
        match self {
            Vocab::Bytes(symbols) => {
                let mut table = [None; 256];
                symbols.iter().enumerate().for_each(|(i, &byte)| table[usize::from(byte)] = Some(i));
                for (offset, &byte) in text.iter().enumerate() {
                    push(table[usize::from(byte)], &|| format!("byte 0x{byte:02X}"), offset)?;
                }
            }
            Vocab::Chars(symbols) => {
                let symbols: Vec<char> = symbols.chars().collect();
                // A table for the frequent ones, a search for the rest.
                let ascii: Vec<Option<usize>> =
                    (0..128u8).map(|c| symbols.binary_search(&char::from(c)).ok()).collect();
                let mut offset = 0;
                for chunk in text.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        let token = match ascii.get(c as usize) {
                            Some(token) => *token,
                            None => symbols.binary_search(&c).ok(),
                        };
                        push(token, &|| format!("{c:?}"), offset)?;
                        offset += c.len_utf8();
                    }
                    for &byte in chunk.invalid() {
                        push(None, &|| format!("byte 0x{byte:02X} (not UTF-8)"), offset)?;
                        offset += 1;
                    }
                }
            }
        }
        Ok((tokens, skipped))
    }

    /// The bytes of each token.
    pub fn decoder(&self) -> Decoder {
        let symbols = match self {
            Vocab::Bytes(symbols) => symbols.iter().map(|&byte| vec![byte]).collect(),
            Vocab::Chars(symbols) => symbols.chars().map(|c| c.to_string().into_bytes()).collect(),
        };
        Decoder { symbols, held: Vec::new() }
    }

    /// The text of tokens; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let mut decoder = self.decoder();
        let mut text: String = tokens.iter().map(|&token| decoder.push(token)).collect();
        text.push_str(&decoder.finish());
        text
    }
}

/// Checks that a text is UTF-8.
///
/// # Errors
/// The place of the first byte that is not.
pub fn utf8<'a>(text: &'a [u8], path: &Path) -> Result<&'a str> {
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        let byte = text[error.valid_up_to()];
        let reason = format!(
            "byte 0x{byte:02X} at line {line}, column {column} is not UTF-8; convert the file, or pass --bytes"
        );
        Error::Data { path: path.into(), reason }
    })
}

/// Tokens to text as they come: a character of several bytes is given out when its last byte has come.
#[derive(Clone, Debug)]
pub struct Decoder {
    symbols: Vec<Vec<u8>>,
    held: Vec<u8>,
}

impl Decoder {
    /// The bytes of one token.
    pub fn bytes(&self, token: u32) -> &[u8] {
        self.symbols.get(token as usize).map_or(&[], |symbol| symbol)
    }

    /// Takes a token; returns the text that is complete with it.
    pub fn push(&mut self, token: u32) -> String {
        if let Some(symbol) = self.symbols.get(token as usize) {
            self.held.extend_from_slice(symbol);
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
                        // Bytes that nothing can complete.
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

    /// What is left of an unfinished character, as U+FFFD.
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
        let (tokens, skipped) = vocab.encode(text.as_bytes(), false).unwrap();
        assert_eq!((vocab.decode(&tokens).as_str(), skipped), (text, 0));
        assert_eq!(tokens.len(), text.chars().count());
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).rev().collect();
        let vocab = Vocab::of(&all, true, Path::new("test.bin")).unwrap();
        assert_eq!(vocab.len(), 256);
        let (tokens, _) = vocab.encode(&all, false).unwrap();
        let decoder = vocab.decoder();
        let back: Vec<u8> = tokens.iter().flat_map(|&token| decoder.bytes(token).to_vec()).collect();
        assert_eq!(back, all);
    }

    #[test]
    fn a_character_in_bytes_is_given_out_whole() {
        let text = "é🦀x";
        let vocab = Vocab::of(text.as_bytes(), true, Path::new("test")).unwrap();
        let (tokens, _) = vocab.encode(text.as_bytes(), false).unwrap();
        let mut decoder = vocab.decoder();
        let pieces: Vec<String> = tokens.iter().map(|&token| decoder.push(token)).collect();
        assert_eq!(pieces, ["", "é", "", "", "", "🦀", "x"]);
        assert_eq!(decoder.push(tokens[0]), "");
        assert_eq!(decoder.push(tokens[6]), "\u{fffd}x");
    }

    #[test]
    fn an_unseen_symbol_is_named_or_skipped_as_asked() {
        let vocab = chars("abc\n");
        let unseen = vocab.encode("ab€c".as_bytes(), false).unwrap_err();
        assert_eq!((unseen.symbol.as_str(), unseen.offset), ("'€'", 2));
        assert_eq!(vocab.encode("ab€c".as_bytes(), true).unwrap(), (vec![1, 2, 3], 1));
        assert!(vocab.encode(b"a\xffb", false).unwrap_err().symbol.contains("0xFF"));
    }

    #[test]
    fn text_that_is_not_utf8_is_refused_with_its_place_and_the_remedy() {
        let error = Vocab::of(b"ok\nna\xefve", false, Path::new("book.txt")).unwrap_err().to_string();
        assert_eq!(error, "book.txt: byte 0xEF at line 2, column 3 is not UTF-8; convert the file, or pass --bytes");
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
