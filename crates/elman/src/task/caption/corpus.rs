//! What captions are learnt from: rows of a matrix, photographs, or scenes that the program makes, with their captions.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use crate::data::encoder::{Encoder, EncoderId, Wanted};
use crate::data::table::Table;
use crate::data::{Matrix, builtin, held_out};
use crate::error::{Error, Result};
use crate::task::language_model::threads;
use crate::task::photographs::{self, Encoded, Watch};
use crate::task::settings::Settings;
use crate::task::writing::Language;

/// A row of the features with its captions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The row, from 0.
    pub row: usize,
    /// Its captions; at least one.
    pub captions: Vec<String>,
}

/// The rows of a table of captions that belong to a split, in the order they first appear; `split` is empty for all.
#[derive(Clone, Debug, Default)]
struct Captions {
    train: Vec<Described>,
    dev: Vec<Described>,
    test: Vec<Described>,
    /// Without a split.
    rest: Vec<Described>,
    /// Names of photographs; a row is a place in here. Empty where rows are those of a matrix.
    names: Vec<String>,
}

/// What a line of captions describes.
#[derive(Clone, Copy, PartialEq)]
enum Subject {
    /// One of so many rows of a matrix.
    Row(usize),
    /// A photograph of this name.
    Image,
}

/// Which columns hold what.
struct Columns {
    subject: usize,
    split: Option<usize>,
    caption: usize,
}

impl Columns {
    fn of(table: &Table, subject: Subject) -> Result<Columns> {
        let named = |name: &str| table.header.as_ref().and_then(|h| h.iter().position(|column| column == name));
        let (name, column_of_5) = if subject == Subject::Image { ("image", 2) } else { ("row", 0) };
        if let (Some(subject), Some(caption)) = (named(name), named("caption")) {
            return Ok(Columns { subject, split: named("split"), caption });
        }
        match table.width() {
            5 => Ok(Columns { subject: column_of_5, split: Some(1), caption: 4 }),
            3 => Ok(Columns { subject: 0, split: Some(1), caption: 2 }),
            2 => Ok(Columns { subject: 0, split: None, caption: 1 }),
            width => {
                let reason = format!(
                    "has {width} columns; give row, split, image, number, caption; or {name}, split, caption; or {name}, \
                     caption; or columns named `{name}`, `split` and `caption`"
                );
                Err(Error::Data { path: table.path.clone(), reason })
            }
        }
    }
}

impl Captions {
    /// Reads a table of captions of rows or of photographs.
    fn read(path: &Path, subject: Subject) -> Result<Captions> {
        let table = Table::read(path)?;
        let columns = Columns::of(&table, subject)?;
        let mut captions = Captions::default();
        let mut row_of: HashMap<&str, usize> = HashMap::new();
        for line in &table.rows {
            let wrong = |what: String| {
                let reason = format!("line {}: {what}", line.line);
                Error::Data { path: path.into(), reason }
            };
            let cell = line.cells[columns.subject].trim();
            let row = match subject {
                Subject::Image if cell.is_empty() => return Err(wrong("no photograph is named".into())),
                Subject::Image => *row_of.entry(cell).or_insert_with(|| {
                    captions.names.push(cell.into());
                    captions.names.len() - 1
                }),
                Subject::Row(rows) => {
                    let row: Option<usize> = cell.parse().ok();
                    let row = row.ok_or_else(|| wrong(format!("`{cell}` is no number of a row, from 0")))?;
                    if row >= rows {
                        let reason = format!("there is no row {row}; the features have {rows}, numbered from 0");
                        return Err(wrong(reason));
                    }
                    row
                }
            };
            let caption = line.cells[columns.caption].trim();
            if caption.is_empty() {
                return Err(wrong("the caption is empty; leave such rows out".into()));
            }
            let part = match columns.split.map(|column| line.cells[column].trim()) {
                None => &mut captions.rest,
                Some("train") => &mut captions.train,
                Some("dev" | "val" | "valid" | "validation") => &mut captions.dev,
                Some("test") => &mut captions.test,
                Some(other) => return Err(wrong(format!("the split is `{other}`; give train, dev or test"))),
            };
            match part.last_mut() {
                Some(described) if described.row == row => described.captions.push(caption.into()),
                _ => part.push(Described { row, captions: vec![caption.into()] }),
            }
        }
        Ok(captions)
    }

    /// What is trained on, and what is held out.
    fn into_training_and_held_out(self, settings: &Settings) -> Result<(Vec<Described>, Vec<Described>)> {
        let Captions { mut train, dev, rest, .. } = self;
        train.extend(rest);
        match dev.is_empty() {
            true => held_out(train, &settings.hold_out(), Path::new(&settings.captions)),
            false => Ok((train, dev)),
        }
    }

    /// The described rows of one part: `train`, `dev` or `test`; all, where the table names no parts.
    fn part(self, part: &str, path: &Path) -> Result<Vec<Described>> {
        let found = match part {
            "train" => self.train,
            "dev" => self.dev,
            "test" => self.test,
            _ => return Err(Error::Usage(format!("--split {part}: give train, dev or test"))),
        };
        let found = if found.is_empty() { self.rest } else { found };
        if found.is_empty() {
            return Err(Error::Data { path: path.into(), reason: format!("has no row of the split {part}") });
        }
        Ok(found)
    }
}

/// The described rows of one part of the data: `train`, `dev` or `test`.
///
/// # Errors
/// As the readers; if there is none of that part.
pub fn read(features: &Matrix, captions: &Path, part: &str) -> Result<Vec<Described>> {
    Captions::read(captions, Subject::Row(features.rows()))?.part(part, captions)
}

/// As [`read`], of photographs in a folder, with their features by an encoder.
///
/// # Errors
/// As [`read`] and [`photographs::encode`].
pub fn read_images(
    encoder: &Encoder,
    images: &Path,
    captions: &Path,
    part: &str,
    watch: &mut Watch,
) -> Result<(Encoded, Vec<Described>)> {
    let mut all = Captions::read(captions, Subject::Image)?;
    let names = std::mem::take(&mut all.names);
    let mut described = all.part(part, captions)?;
    let encoded = encode(encoder, images, &names, &mut [&mut described], watch)?;
    Ok((encoded, described))
}

/// The features of the photographs that are described; the rows become theirs.
fn encode(
    encoder: &Encoder,
    images: &Path,
    names: &[String],
    parts: &mut [&mut Vec<Described>],
    watch: &mut Watch,
) -> Result<Encoded> {
    let mut rows = vec![None; names.len()];
    let mut used = Vec::new();
    for described in parts.iter_mut().flat_map(|part| part.iter_mut()) {
        let row = described.row;
        described.row = *rows[row].get_or_insert_with(|| {
            used.push(names[row].clone());
            used.len() - 1
        });
    }
    photographs::encode(images, &used, encoder, watch)
}

/// Features and captions, to learn from and held out.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// The features.
    pub features: Matrix,
    /// The symbols.
    pub language: Language,
    /// What is trained on: row and symbols of each caption.
    pub train: Vec<(usize, Vec<u32>)>,
    /// What is held out.
    pub val: Vec<Described>,
    /// Captions left out of training, being longer than `--max-len`.
    pub too_long: usize,
    /// What made the features, if they were made here.
    pub encoder: Option<EncoderId>,
    /// How the features were come by, for people.
    pub note: Option<String>,
}

impl Corpus {
    /// Reads what the settings name and learns the symbols; where they name nothing, scenes that the program makes. `watch`
    /// is told how many photographs have their features.
    ///
    /// # Errors
    /// As the readers and [`photographs::encode`]; without captions, or features or photographs; if no caption is left of at
    /// most `--max-len` symbols.
    pub fn read(settings: &Settings, watch: &mut Watch) -> Result<Corpus> {
        let Settings { features, captions, images, encoder, encoder_output, .. } = settings;
        if [features, captions, images, encoder, encoder_output].iter().all(|word| word.is_empty()) {
            return Self::made(settings);
        }
        let usage = |message: &str| Err(Error::Usage(message.into()));
        if captions.is_empty() || (features.is_empty() && images.is_empty()) {
            return usage(
                "give --captions, a table of row, split and caption, and --features, a matrix with a row for each picture; or \
                 --captions with the photographs' names, --images, their folder, and --encoder, an .onnx file",
            );
        }
        let is_made = [images, encoder, encoder_output].iter().any(|word| !word.is_empty());
        if !features.is_empty() && is_made {
            return usage(
                "--features are ready features; leave out --images, --encoder and --encoder-output, or these",
            );
        }
        if features.is_empty() && encoder.is_empty() {
            return usage("--images are photographs; give --encoder, the .onnx file that makes features of them");
        }
        let path = Path::new(captions);
        if !features.is_empty() {
            let features = Matrix::read(Path::new(features))?;
            let captions = Captions::read(path, Subject::Row(features.rows()))?;
            let (train, val) = captions.into_training_and_held_out(settings)?;
            return Self::of(features, &train, val, settings);
        }
        let mut captions = Captions::read(path, Subject::Image)?;
        let names = std::mem::take(&mut captions.names);
        let (mut train, mut val) = captions.into_training_and_held_out(settings)?;
        let encoder = Encoder::open(Path::new(encoder), Wanted::Named(encoder_output))?;
        let threads = threads(settings.threads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Error::Usage(format!("--threads {threads}: cannot be started: {error}")))?;
        let encoded = pool.install(|| {
            let parts = &mut [&mut train, &mut val];
            encode(&encoder, Path::new(images), &names, parts, watch)
        })?;
        let corpus = Self::of(encoded.features, &train, val, settings)?;
        Ok(Corpus { encoder: Some(encoder.id().clone()), note: Some(encoded.note), ..corpus })
    }

    /// Scenes that the program makes.
    fn made(settings: &Settings) -> Result<Corpus> {
        /// How many.
        const MADE: usize = 6000;
        let (features, captions) = builtin::scenes(settings.seed, MADE);
        let described = |(row, caption)| Described { row, captions: vec![caption] };
        let described = captions.into_iter().enumerate().map(described).collect();
        let (train, val) = held_out(described, &settings.hold_out(), Path::new("the built-in scenes"))?;
        Self::of(features, &train, val, settings)
    }

    /// Learns the symbols of the training captions and encodes them.
    ///
    /// # Errors
    /// If no caption is left of at most `--max-len` symbols.
    pub fn of(features: Matrix, train: &[Described], val: Vec<Described>, settings: &Settings) -> Result<Corpus> {
        let texts: Vec<&str> = train.iter().flat_map(|d| d.captions.iter().map(String::as_str)).collect();
        let mut language = Language::learn(texts.into_iter(), settings)?;
        let rows: Vec<(usize, &str)> =
            train.iter().flat_map(|d| d.captions.iter().map(|caption| (d.row, caption.as_str()))).collect();
        let encode = |&(row, caption): &(usize, &str)| Ok((row, language.subwords.encode(caption)?));
        let mut train: Vec<(usize, Vec<u32>)> = rows.par_iter().map(encode).collect::<Result<_>>()?;
        let (all, most) = (train.len(), if settings.max_len == 0 { usize::MAX } else { settings.max_len });
        train.retain(|(_, symbols)| symbols.len() < most);
        if train.is_empty() {
            return Err(Error::Usage(format!("no caption has fewer symbols than --max-len {most}; give a higher one")));
        }
        language.max_ratio = train.iter().map(|(_, symbols)| symbols.len() + 1).max().unwrap_or(1) as f64;
        let too_long = all - train.len();
        Ok(Corpus { features, language, train, val, too_long, encoder: None, note: None })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn captions_are_read_by_split_and_wrong_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.tsv");
        let features = Matrix { dims: vec![4, 1], values: vec![0.0; 4] };
        let lines = "0\ttrain\ta.jpg\t0\tA dog .\n0\ttrain\ta.jpg\t1\tIt runs .\n1\tdev\tb.jpg\t0\tA cat .\n";
        fs::write(&path, lines).unwrap();
        let train = read(&features, &path, "train").unwrap();
        assert_eq!(train, [Described { row: 0, captions: vec!["A dog .".into(), "It runs .".into()] }]);
        assert_eq!(read(&features, &path, "dev").unwrap()[0].row, 1);
        assert!(read(&features, &path, "test").unwrap_err().to_string().contains("split test"));
        assert!(read(&features, &path, "x").is_err());
        let message = |line: &str| {
            fs::write(&path, format!("{lines}{line}\n")).unwrap();
            read(&features, &path, "train").unwrap_err().to_string()
        };
        let error = message("4\ttrain\tc.jpg\t0\tA cow .");
        assert!(error.contains("line 4: there is no row 4; the features have 4"), "{error}");
        assert!(message("x\ttrain\tc.jpg\t0\tA cow .").contains("line 4: `x` is no number"));
        assert!(message("2\tholdout\tc.jpg\t0\tA cow .").contains("`holdout`"));
        assert!(message("2\ttrain\tc.jpg\t0\t ").contains("empty"));
        fs::write(&path, "0\ta dog\n1\ta cat\n").unwrap();
        assert_eq!(read(&features, &path, "test").unwrap().len(), 2);
        let settings = Settings { captions: "captions.tsv".into(), ..Settings::default() };
        assert!(Corpus::read(&settings, &mut |_, _| true).unwrap_err().to_string().contains("--features"));
    }
}
