//! Tables of captions.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::table::Table;
use super::{HoldOut, train_val_split};
use crate::error::{Error, Result};
use crate::file::{self, fault};

/// A source and its reference captions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Example {
    /// The source's name in messages.
    pub(crate) name: String,
    /// The source's index.
    pub(crate) source: usize,
    /// At least one text.
    pub(crate) targets: Vec<String>,
}

/// The examples of a table of captions by split, in the order they first appear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captions {
    train: Vec<Example>,
    dev: Vec<Example>,
    test: Vec<Example>,
    /// Without a split.
    rest: Vec<Example>,
    /// Names of images; an example's source is an index into it. Empty where sources are rows of a matrix.
    pub(crate) images: Vec<String>,
}

/// The subject of a caption.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Subject {
    /// A row of a matrix with this many rows.
    Row(usize),
    /// An image of this name.
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
                    "has {width} columns; give row, split, image, number, caption; or {name}, split, caption; or \
                     {name}, caption; or columns named \"{name}\", \"split\" and \"caption\""
                );
                Err(fault(&table.path, reason))
            }
        }
    }
}

/// A document of captions in JSON: COCO's (images, and annotations that name them by number) or Karpathy's (images with their
/// sentences and splits).
#[derive(Deserialize)]
struct Document {
    images: Vec<Picture>,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Deserialize)]
struct Picture {
    #[serde(default)]
    id: Option<serde_json::Value>,
    #[serde(alias = "file_name")]
    filename: String,
    #[serde(default)]
    split: Option<String>,
    #[serde(default)]
    sentences: Vec<Sentence>,
}

#[derive(Deserialize)]
struct Sentence {
    raw: String,
}

#[derive(Deserialize)]
struct Annotation {
    image_id: serde_json::Value,
    caption: String,
}

/// The captions of a document as a table of image, split and caption; `None` of a file that is none.
///
/// # Errors
/// A damaged document; an annotation of an image that is not there.
fn document(bytes: &[u8], path: &Path) -> Result<Option<Table>> {
    let text = file::Encoding::default().decode(bytes, path)?;
    if !text.trim_start().starts_with('{') || !text.contains("\"images\"") {
        return Ok(None);
    }
    let Document { images, annotations } = serde_json::from_str(&text)
        .map_err(|error| fault(path, format!("is no document of captions as COCO or Karpathy have them: {error}")))?;
    let has_splits = images.iter().any(|image| image.split.is_some());
    let row = |number: usize, image: &Picture, caption: &str| {
        let mut cells = vec![image.filename.clone(), caption.split_whitespace().collect::<Vec<_>>().join(" ")];
        if has_splits {
            cells.insert(1, image.split.clone().unwrap_or_else(|| "train".into()));
        }
        (number, cells)
    };
    let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
    for image in &images {
        for sentence in &image.sentences {
            rows.push(row(rows.len() + 1, image, &sentence.raw));
        }
    }
    let by_id: HashMap<String, &Picture> =
        images.iter().filter_map(|image| Some((image.id.as_ref()?.to_string(), image))).collect();
    for annotation in &annotations {
        let id = annotation.image_id.to_string();
        let image = by_id.get(&id).ok_or_else(|| {
            fault(path, format!("the caption {:?} is of image {id}, which is not among its images", annotation.caption))
        })?;
        rows.push(row(rows.len() + 1, image, &annotation.caption));
    }
    if rows.is_empty() {
        return Err(fault(path, "holds images but no captions"));
    }
    // Captions of one image stand together.
    let order: HashMap<&String, usize> = images.iter().map(|image| &image.filename).zip(0..).collect();
    rows.sort_by_key(|(_, cells)| order.get(&cells[0]).copied());
    let header = if has_splits { vec!["image", "split", "caption"] } else { vec!["image", "caption"] };
    let header = header.into_iter().map(String::from).collect();
    let rows = rows.into_iter().collect();
    Ok(Some(Table { path: path.into(), header: Some(header), rows, ..Table::default() }))
}

impl Captions {
    /// Reads a table of captions of rows or of images.
    ///
    /// # Errors
    /// [`Error::Data`] with the line.
    pub(crate) fn read(path: &Path, subject: Subject) -> Result<Captions> {
        let bytes = file::read(path)?;
        let table = match document(&bytes, path)? {
            Some(_) if matches!(subject, Subject::Row(_)) => {
                let reason = "names images, not rows of features; give `images`, their folder, and `encoder`";
                return Err(fault(path, reason));
            }
            Some(table) => table,
            None => Table::parse(&bytes, path, None)?,
        };
        let columns = Columns::of(&table, subject)?;
        let mut captions = Captions::default();
        let mut number_of: HashMap<&str, usize> = HashMap::new();
        for line in table.rows.iter() {
            let wrong = |what: String| fault(path, format!("line {}: {what}", line.line()));
            let cell = line.cell(columns.subject).trim();
            let (name, source) = match subject {
                Subject::Image if cell.is_empty() => return Err(wrong("the image is not named".into())),
                Subject::Image => {
                    let number = *number_of.entry(cell).or_insert_with(|| {
                        captions.images.push(cell.into());
                        captions.images.len() - 1
                    });
                    (cell.to_string(), number)
                }
                Subject::Row(rows) => {
                    let row: Option<usize> = cell.parse().ok();
                    let row = row.ok_or_else(|| wrong(format!("{cell:?} is not a row number (counted from 0)")))?;
                    if row >= rows {
                        let reason = format!("there is no row {row}; the features have {rows}, numbered from 0");
                        return Err(wrong(reason));
                    }
                    (format!("row {row}"), row)
                }
            };
            let caption = line.cell(columns.caption).trim();
            if caption.is_empty() {
                return Err(wrong("the caption is empty; remove such rows".into()));
            }
            let part = match columns.split.map(|column| line.cell(column).trim()) {
                None => &mut captions.rest,
                // Karpathy's split of COCO: what is left of the validation images is learned from.
                Some("train" | "restval") => &mut captions.train,
                Some("dev" | "val" | "valid" | "validation") => &mut captions.dev,
                Some("test") => &mut captions.test,
                Some(other) => return Err(wrong(format!("the split is {other:?}; it must be train, dev or test"))),
            };
            match part.last_mut() {
                Some(example) if example.source == source => example.targets.push(caption.into()),
                _ => part.push(Example { name, source, targets: vec![caption.into()] }),
            }
        }
        Ok(captions)
    }

    /// Training and validation examples.
    pub(crate) fn into_train_and_val(self, hold_out: &HoldOut, path: &Path) -> Result<[Vec<Example>; 2]> {
        let Captions { mut train, dev, rest, .. } = self;
        train.extend(rest);
        if !dev.is_empty() {
            return Ok([train, dev]);
        }
        let (train, val) = train_val_split(train, hold_out, path)?;
        Ok([train, val])
    }

    /// The examples of one split: `train`, `dev` or `test`; all, where the table has no splits. `path` is named in
    /// messages.
    pub(crate) fn into_split(self, split: &str, path: &Path) -> Result<[Vec<Example>; 1]> {
        let found = match split {
            "train" => self.train,
            "dev" => self.dev,
            "test" => self.test,
            _ => return Err(Error::setting("split", split, "must be train, dev or test")),
        };
        let found = if found.is_empty() { self.rest } else { found };
        if found.is_empty() {
            return Err(fault(path, format!("has no row of the split {split:?}")));
        }
        Ok([found])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn documents_of_captions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.json");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            Captions::read(&path, Subject::Image).map_err(|error| error.to_string())
        };
        let coco = r#"{"info": {}, "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
            "annotations": [{"image_id": 9, "id": 1, "caption": "A cat."}, {"image_id": 7, "id": 2, "caption": "A dog."},
                            {"image_id": 9, "id": 3, "caption": "It sleeps.\n"}]}"#;
        let found = read(coco).unwrap();
        assert_eq!(
            (found.rest.len(), &found.rest[1].targets[..]),
            (2, &["A cat.".to_string(), "It sleeps.".into()][..])
        );
        let karpathy = r#"{"dataset": "x", "images": [
            {"filename": "a.jpg", "split": "restval", "sentences": [{"raw": "A dog.", "tokens": ["a", "dog"]}]},
            {"filename": "b.jpg", "split": "val", "sentences": [{"raw": "A cat."}, {"raw": "It sleeps."}]}]}"#;
        let found = read(karpathy).unwrap();
        assert_eq!((found.train.len(), found.dev[0].targets.len()), (1, 2));
        assert!(read(&coco.replace("\"image_id\": 7", "\"image_id\": 8")).unwrap_err().contains("image 8"));
        assert!(read("{\"images\": [{\"id\": 1}]}").unwrap_err().contains("COCO"));
        fs::write(&path, coco).unwrap();
        assert!(Captions::read(&path, Subject::Row(3)).unwrap_err().to_string().contains("`images`"));
    }

    #[test]
    fn captions_are_read_by_split_and_wrong_lines_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captions.tsv");
        let lines = "0\ttrain\ta.jpg\t0\tA dog .\n0\ttrain\ta.jpg\t1\tIt runs .\n1\tdev\tb.jpg\t0\tA cat .\n";
        fs::write(&path, lines).unwrap();
        let read = |split: &str| Captions::read(&path, Subject::Row(4)).and_then(|all| all.into_split(split, &path));
        let example = Example { name: "row 0".into(), source: 0, targets: vec!["A dog .".into(), "It runs .".into()] };
        assert_eq!(read("train").unwrap(), [[example]]);
        assert_eq!(read("dev").unwrap()[0][0].source, 1);
        assert!(read("test").unwrap_err().to_string().contains("split \"test\""));
        assert!(read("x").is_err());
        let images = Captions::read(&path, Subject::Image).unwrap();
        assert_eq!((&images.images[..], &images.dev[0].name[..]), (&["a.jpg".into(), "b.jpg".into()][..], "b.jpg"));
        let message = |line: &str| {
            fs::write(&path, format!("{lines}{line}\n")).unwrap();
            read("train").unwrap_err().to_string()
        };
        let error = message("4\ttrain\tc.jpg\t0\tA cow .");
        assert!(error.contains("line 4: there is no row 4; the features have 4"), "{error}");
        assert!(message("x\ttrain\tc.jpg\t0\tA cow .").contains("line 4: \"x\" is not a row number"));
        assert!(message("2\tholdout\tc.jpg\t0\tA cow .").contains("\"holdout\""));
        assert!(message("2\ttrain\tc.jpg\t0\t ").contains("empty"));
        fs::write(&path, "0\ta dog\n1\ta cat\n").unwrap();
        assert_eq!(read("test").unwrap()[0].len(), 2);
    }
}
