//! A text in tokens.

use std::path::Path;

use crate::data::{Vocab, builtin};
use crate::error::{Error, Result};
use crate::file;
use crate::settings::Settings;

/// A text in tokens, divided into training and validation.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// Its vocabulary.
    pub vocab: Vocab,
    /// Training tokens.
    pub train: Vec<u32>,
    /// Validation tokens.
    pub val: Vec<u32>,
}

impl Corpus {
    /// Reads the text the settings name, or the built-in one where they name none.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Data`] with the file and what to do.
    pub fn read(settings: &Settings) -> Result<Corpus> {
        if settings.file.is_empty() {
            return Self::of(builtin::project_text().as_bytes(), None, Path::new("the built-in text"), settings);
        }
        let path = Path::new(&settings.file);
        let text = file::read(path)?;
        let val = if settings.val.is_empty() { None } else { Some(file::read(Path::new(&settings.val))?) };
        Self::of(&text, val.as_deref(), path, settings)
    }

    /// Splits a text: the vocabulary is that of all of it, so that validation meets no unknown token.
    ///
    /// # Errors
    /// If the text is empty, too short, not in UTF-8, or the validation text has other characters.
    pub fn of(text: &[u8], val: Option<&[u8]>, path: &Path, settings: &Settings) -> Result<Corpus> {
        let data = |path: &Path, reason: String| Error::Data { path: path.into(), reason };
        let vocab = Vocab::of(text, settings.bytes, path)?;
        let encode = |text: &[u8], path: &Path| {
            let tokens = vocab.encode(text, false);
            tokens.map(|(tokens, _)| tokens).map_err(|unseen| data(path, unseen.to_string()))
        };
        let mut train = encode(text, path)?;
        let val = match val {
            Some(val) => encode(val, Path::new(&settings.val))?,
            None => {
                let cut = ((1.0 - settings.val_frac) * train.len() as f64) as usize;
                train.split_off(cut.min(train.len()))
            }
        };
        if val.len() < 2 {
            let reason = format!(
                "{} tokens are held out, and validation takes at least 2; give a longer text, a higher `val_frac` or a \
                 file by `val`",
                val.len()
            );
            return Err(data(path, reason));
        }
        Ok(Corpus { vocab, train, val })
    }
}
