//! A text in tokens.

use std::path::{Path, PathBuf};

use crate::data::table::Table;
use crate::data::words::Level;
use crate::data::{PIECES, Vocab, builtin, idx};
use crate::error::{Error, Result};
use crate::file::{self, Encoding};
use crate::settings::{Auto, Settings};
use crate::task::pretrained::Pretrained;

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

/// A text as a language model reads it: a file, or several on a line each, or all the files of a folder in the order of their
/// names, in UTF-8 without a byte order mark. Lines end with LF alone, unless `keeps_cr`.
///
/// # Errors
/// What cannot be read, or is in an encoding that is not named.
pub(super) fn plain(path: &Path, encoding: Encoding, keeps_cr: bool) -> Result<Vec<u8>> {
    if let Some(files) = several(path) {
        return joined(files, |file| plain(file, encoding, keeps_cr));
    }
    if path.is_dir() {
        if idx::dataset(path).is_ok_and(|found| found.is_some()) {
            let reason = "is a folder of images in idx files; `task = classify` learns from them".into();
            return Err(Error::Data { path: path.into(), reason });
        }
        return joined(files(path)?, |file| plain(file, encoding, keeps_cr));
    }
    let bytes = file::read(path)?;
    let text = encoding.decode(&bytes, path)?;
    if keeps_cr || !text.contains('\r') {
        return Ok(text.into_owned().into_bytes());
    }
    Ok(text.replace("\r\n", "\n").replace('\r', "\n").into_bytes())
}

/// Texts one behind the other; each ends its line.
fn joined(files: Vec<PathBuf>, read: impl Fn(&Path) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for file in files {
        text.extend(read(&file)?);
        if text.last().is_some_and(|end| *end != b'\n') {
            text.push(b'\n');
        }
    }
    Ok(text)
}

/// The files that a setting names on a line each; none where it names one.
fn several(path: &Path) -> Option<Vec<PathBuf>> {
    let names = path.to_str().filter(|names| names.contains('\n'))?;
    Some(names.lines().filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}

/// That a text is a table, by its name, and how it is read as one.
pub(super) fn looks_like_table(path: &Path) -> Option<String> {
    let name = path.to_string_lossy().to_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    let is_table = [".csv", ".tsv", ".jsonl", ".arff", ".ts"].iter().any(|end| name.ends_with(end));
    let table = is_table.then(|| Table::read(path).ok()).flatten().filter(|table| table.width() > 1)?;
    let last = table.header.as_ref().and_then(|header| header.last()).filter(|name| !name.is_empty());
    let column = last.cloned().unwrap_or_else(|| table.width().to_string());
    Some(format!(
        "the file looks like a table of {} columns, and is read as a text here; `task = classify` reads it as rows to \
         classify, with `label_column = {column}` say",
        table.width()
    ))
}

/// The files of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |source| Error::Io { path: folder.into(), action: "read", source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_file() && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let reason =
            "is a folder without files of its own; a language model reads a text, or the texts of a folder. A \
                      folder of images, one subfolder for each class, is for `task = classify`"
                .into();
        return Err(Error::Data { path: folder.into(), reason });
    }
    Ok(files)
}

impl Settings {
    /// Settles the size of the vocabulary, so that the same text has the same again; says what was decided. With what the model
    /// of `from` has it is larger than what the text was asked for, which therefore stays with the text.
    pub(super) fn settle_vocab_size(&mut self, vocab: &Vocab) -> Option<String> {
        let s = self;
        if !s.vocab_size.is_auto() || !s.from.is_empty() {
            return None;
        }
        let Vocab::Spelled { chars, .. } = vocab else {
            s.vocab_size = vocab.len().max(PIECES);
            return None;
        };
        s.vocab_size = chars.chars().count();
        Some(format!(
            "the {} most frequent characters are tokens; the others, one in five hundred of the text, are spelled by their \
             bytes (`vocab_size`)",
            s.vocab_size
        ))
    }

    /// The text of a file or folder: as it is with `bytes`, and in runs of version 0.1.
    pub(super) fn text(&self, path: &Path) -> Result<Vec<u8>> {
        match self.bytes || self.rules == 1 {
            true => match several(path) {
                Some(files) => joined(files, file::read),
                None => file::read(path),
            },
            false => plain(path, self.encoding(), false),
        }
    }
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
        let text = settings.text(path)?;
        let val = if settings.val.is_empty() { None } else { Some(settings.text(Path::new(&settings.val))?) };
        Self::of(&text, val.as_deref(), path, settings)
    }

    /// Splits a text: the vocabulary is that of all of it, so that validation meets no unknown token, and of the model that
    /// training begins from.
    ///
    /// # Errors
    /// If the text is empty, too short, not in UTF-8, or the validation text has other characters.
    pub fn of(text: &[u8], val: Option<&[u8]>, path: &Path, settings: &Settings) -> Result<Corpus> {
        let data = |path: &Path, reason: String| Error::Data { path: path.into(), reason };
        if settings.bytes && settings.level != Level::Char {
            let level = settings.level.unit();
            return Err(Error::setting("level", level, "is not read with `bytes`: these are the tokens then"));
        }
        let size = (!settings.vocab_size.is_auto()).then_some(settings.vocab_size);
        let mut vocab = match settings.bytes {
            true => {
                let vocab = Vocab::of(text, true, path)?;
                if let Some(size) = size.filter(|size| *size < vocab.len()) {
                    let why = format!("is not read with `bytes`: each of the {} that occur is a token", vocab.len());
                    return Err(Error::setting("vocab_size", size, why));
                }
                vocab
            }
            false => Vocab::of_level(text, settings.level, size, settings.vocab_min, path)?,
        };
        if let Some(from) = Pretrained::open(settings)? {
            vocab = from.part::<Vocab>("vocab")?.joined(&vocab).unwrap_or(vocab);
        }
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
