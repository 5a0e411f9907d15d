//! Tables of texts and their labels.

use std::path::{Path, PathBuf};

use super::columns::Columns;
use super::natural;
use super::split::Split;
use super::table::{Form, Rows, Table};
use crate::error::Result;
use crate::file::{self, HAS_FILES, fault};

/// A text, its label or labels, and the line it stands in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LabelledText {
    /// The text.
    pub text: String,
    /// The label, or several as they stand in the file.
    pub label: String,
    /// The labels, where a text may have several.
    pub labels: Vec<String>,
    /// From 1.
    pub line: usize,
}

/// The texts of a table.
#[derive(Debug)]
pub(crate) struct LabelledTexts {
    pub rows: Vec<LabelledText>,
    /// Whether a text may have several labels.
    pub has_several: bool,
    /// What was decided, such as which columns were taken.
    pub notes: Vec<String>,
}

/// Reads texts and labels out of a table. A text may have several labels if `several`, if the first label is a list, or if
/// the columns name a separator.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) with the line: an empty text, an empty label, a label that is a list where the first is
/// none, or none where the first is one; columns that cannot be told apart.
pub(crate) fn read(path: &Path, columns: &Columns, several: Option<bool>) -> Result<LabelledTexts> {
    let form = columns.form();
    let mut table = if HAS_FILES && path.is_dir() { folder(path, form)? } else { columns.read(path)? };
    let [text, label] = [columns.text(), &columns.label].map(|asked| Some(asked).filter(|asked| !asked.is_empty()));
    let (text, label, taken) = table.text_and_label(text, label)?;
    let mut notes = vec![taken];
    notes.append(&mut table.notes);
    notes.extend(table.leave_out_blank(&[(text, "text"), (label, "label")], form.skip_bad)?);
    let separator = columns.label_separator.as_str();
    let are_lists = separator.is_empty() && table.rows.iter().next().is_some_and(|row| is_list(row.cell(label)));
    let has_several = several.unwrap_or(are_lists || !separator.is_empty());
    let mut rows = Vec::with_capacity(table.rows.len());
    for row in table.rows.iter() {
        let (line, text, label) = (row.line(), row.cell(text).to_string(), row.cell(label).trim().to_string());
        let labels = match (has_several, is_list(&label) && separator.is_empty()) {
            (false, false) => Vec::new(),
            (false, true) => {
                let first = if several.is_none() { "the first text" } else { "this model" };
                let reason = format!("line {line}: the label is a list, {label}, but {first} has one label a text");
                return Err(fault(path, reason));
            }
            (true, true) => listed(&label).ok_or_else(|| {
                fault(path, format!("line {line}: the labels {label} are no list of names, as `[\"a\", \"b\"]` is"))
            })?,
            (true, false) if are_lists => {
                let reason = format!("line {line}: the label {label:?} is no list, but that of the first text is one");
                return Err(fault(path, reason));
            }
            (true, false) if separator.is_empty() => vec![label.clone()],
            (true, false) => {
                label.split(separator).map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect()
            }
        };
        rows.push(LabelledText { text, label, labels, line });
    }
    if are_lists && several.is_none() {
        notes.push("the labels are lists: a text may have several".into());
    }
    Ok(LabelledTexts { rows, has_several, notes })
}

/// Labels that are files of their own, at most, and lines of each at least: more files, or shorter ones, are a text each.
const MANY_LABELS: usize = 50;
const FEW_TEXTS: usize = 5;

/// The texts of a folder, each a file in the subfolder of its label, or a line in the label's file, as a table.
fn folder(path: &Path, form: Form) -> Result<Table> {
    let mut rows = Rows::default();
    let mut labels = 0;
    for folder in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let label = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if Split::of(&label).is_some() && entries(&folder)?.iter().any(|entry| entry.is_dir()) {
            let reason =
                format!("holds a folder {label:?} with folders in it; name that one, and its sibling by `val`");
            return Err(fault(path, reason));
        }
        let before = rows.len();
        for file in entries(&folder)?.into_iter().filter(|entry| entry.is_file()) {
            let bytes = file::read(&file)?;
            let text = form.encoding.decode(&bytes, &file)?;
            rows.push(rows.len() + 1, [label.as_str(), text.trim()]);
        }
        labels += usize::from(rows.len() > before);
    }
    let notes = if labels > 0 {
        vec![format!("{} texts in {labels} folders, whose names are the labels", rows.len())]
    } else {
        let files = files_of_labels(path)?.ok_or_else(|| {
            let reason = "is a folder without subfolders of texts; each label needs a subfolder with a file for each text, or \
                          a file, `LABEL.txt`, with a text on each line";
            fault(path, reason)
        })?;
        for (label, file) in &files {
            let bytes = file::read(file)?;
            let text = form.encoding.decode(&bytes, file)?;
            let texts: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            if texts.len() < FEW_TEXTS {
                let reason = format!(
                    "holds {} texts, a line each, which is too few for the label {label:?}; in a folder without subfolders \
                     each file is a label",
                    texts.len()
                );
                return Err(fault(file, reason));
            }
            texts.into_iter().for_each(|text| rows.push(rows.len() + 1, [label.as_str(), text]));
        }
        let labels = files.len();
        vec![format!("{} texts, a line each, in {labels} files, whose names are the labels", rows.len())]
    };
    let header = Some(vec!["label".to_string(), "text".into()]);
    Ok(Table { path: path.into(), header, rows, notes, label: Some(0), text: Some(1), ..Table::default() })
}

/// The files of a folder, one for each label, with their labels: `positive.txt` and `negative.txt`, or `rt-polarity.pos` and
/// `rt-polarity.neg`. None where its files are anything else.
fn files_of_labels(path: &Path) -> Result<Option<Vec<(String, PathBuf)>>> {
    let mut files = Vec::new();
    for file in entries(path)?.into_iter().filter(|entry| entry.is_file()) {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
        let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
        if !["readme", "license", "licence"].contains(&stem.to_lowercase().as_str()) {
            files.push((stem.to_string(), end.to_string(), file));
        }
    }
    let is_same_stem = files.iter().all(|(stem, ..)| *stem == files[0].0);
    let is_text = files.iter().all(|(_, end, _)| end.eq_ignore_ascii_case("txt"));
    let labels = files.into_iter().map(|(stem, end, file)| (if is_text { stem } else { end }, file));
    let labels: Vec<(String, PathBuf)> = labels.collect();
    let is_table =
        |label: &str| ["csv", "tsv", "json", "jsonl", "npy", "npz", ""].contains(&label.to_lowercase().as_str());
    let are_labels = labels.iter().all(|(label, _)| Split::of(label).is_none() && (is_text || !is_table(label)))
        && !labels.iter().all(|(label, _)| label.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(((2..=MANY_LABELS).contains(&labels.len()) && (is_text || is_same_stem) && are_labels).then_some(labels))
}

/// What a folder holds, hidden files apart, in natural order.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| file::unreadable(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            found.push((name, path));
        }
    }
    found.sort_by(|a, b| natural::compare(&a.0, &b.0));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn is_list(label: &str) -> bool {
    let label = label.trim();
    label.starts_with('[') && label.ends_with(']')
}

/// The names in a list, as JSON or Python writes it.
fn listed(list: &str) -> Option<Vec<String>> {
    if let Ok(names) = serde_json::from_str::<Vec<serde_json::Value>>(list) {
        let name = |value: serde_json::Value| match value {
            serde_json::Value::String(name) => Some(name.trim().to_string()).filter(|name| !name.is_empty()),
            serde_json::Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        return names.into_iter().map(name).collect();
    }
    // Python quotes with either mark, and escapes with a backslash.
    let (mut names, mut letters) = (Vec::new(), list.trim().strip_prefix('[')?.strip_suffix(']')?.chars().peekable());
    loop {
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(quote) = letters.next() else { return Some(names) };
        if !matches!(quote, '\'' | '"') {
            return None;
        }
        let mut name = String::new();
        loop {
            match letters.next()? {
                '\\' => name.push(letters.next()?),
                c if c == quote => break,
                c => name.push(c),
            }
        }
        names.push(name);
        while letters.next_if(|c| c.is_whitespace()).is_some() {}
        match letters.next() {
            None => return Some(names),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write;

    fn labels(content: &str, separator: &str) -> Result<Vec<Vec<String>>> {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns { label_separator: separator.into(), ..Columns::default() };
        let read = read(&write(folder.path(), "t", content), &columns, None)?;
        assert!(read.has_several);
        Ok(read.rows.into_iter().map(|row| row.labels).collect())
    }

    #[test]
    fn several_labels_are_lists_or_stand_between_separators() {
        let want = [vec!["a", "b"], vec!["b"], vec![]];
        let json = "{\"text\": \"x y\", \"labels\": [\"a\", \"b\"]}\n{\"text\": \"z w\", \"labels\": [\"b\"]}\n\
                    {\"text\": \"v\", \"labels\": []}\n";
        assert_eq!(labels(json, "").unwrap(), want);
        let csv = "text,label\nx y,\"['a', 'b']\"\nz w,\"['b']\"\nv,[]\n";
        assert_eq!(labels(csv, "").unwrap(), want);
        assert_eq!(labels("text,label\nx y,a; b\nz w,b\nv,;\n", ";").unwrap(), want);
        assert_eq!(listed(r#"['it\'s', "b\"c"]"#).unwrap(), ["it's", "b\"c"]);
        assert_eq!(listed("[1, 20]").unwrap(), ["1", "20"]);
        for list in ["[a]", "['a' 'b']", "['a]", "[[1]]", "[null]"] {
            assert_eq!(listed(list), None, "{list}");
        }
    }

    #[test]
    fn texts_in_folders_have_their_names_as_labels() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in
            [("neg/1.txt", "bad\nfilm\n"), ("pos/10.txt", "warm"), ("pos/9.txt", "good"), (".x/1.txt", "no")]
        {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let found = read(folder.path(), &Columns::default(), None).unwrap();
        let rows: Vec<(&str, &str)> = found.rows.iter().map(|row| (row.label.as_str(), row.text.as_str())).collect();
        assert_eq!(rows, [("neg", "bad\nfilm"), ("pos", "good"), ("pos", "warm")]);
        let error = read(&folder.path().join("pos"), &Columns::default(), None).unwrap_err().to_string();
        assert!(error.contains("without subfolders"), "{error}");
    }

    #[test]
    fn a_file_for_each_label_has_a_text_on_each_line() {
        let folder = tempfile::tempdir().unwrap();
        let in_folder = |name: &str, files: &[(&str, &str)]| {
            files.iter().for_each(|(file, text)| _ = write(folder.path(), &format!("{name}/{file}"), text));
            read(&folder.path().join(name), &Columns::default(), None)
        };
        let (good, bad) = ("good one\n\nfine\nnice\nwarm\ntrue\n", "bad\nsad\npoor\ncold\nfalse\nworse\n");
        for (name, labels, files) in [
            ("a", ["negative", "positive"], [("positive.txt", good), ("negative.txt", bad), ("README.md", "x")]),
            ("b", ["neg", "pos"], [("rt-polarity.pos", good), ("rt-polarity.neg", bad), (".x", "x")]),
        ] {
            let found = in_folder(name, &files).unwrap();
            let of = |wanted: &str| found.rows.iter().filter(|row| row.label == wanted).count();
            assert_eq!((labels.map(of), found.rows.len()), ([6, 5], 11), "{name}");
            assert!(found.notes.iter().any(|note| note.contains("11 texts, a line each, in 2 files")));
        }
        // Parts of a data set, tables, texts of a file each.
        for (name, files) in [
            ("c", [("train.txt", good), ("test.txt", bad)]),
            ("d", [("x.csv", good), ("y.csv", bad)]),
            ("e", [("1.txt", good), ("2.txt", bad)]),
            ("f", [("data.csv", good), ("data.tsv", bad)]),
        ] {
            assert!(in_folder(name, &files).unwrap_err().to_string().contains("without subfolders"), "{name}");
        }
        let error = in_folder("g", &[("a.txt", good), ("b.txt", "one\ntwo\n")]).unwrap_err().to_string();
        assert!(error.contains("b.txt: holds 2 texts, a line each"), "{error}");
    }

    #[test]
    fn a_list_among_names_and_a_name_among_lists_are_refused_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        for (content, line) in [
            (
                "{\"text\": \"x\", \"label\": \"a\"}\n{\"text\": \"y\", \"label\": [\"a\"]}\n",
                "line 2: the label is a list",
            ),
            (
                "{\"text\": \"x\", \"label\": [\"a\"]}\n{\"text\": \"y\", \"label\": \"a\"}\n",
                "line 2: the label \"a\" is no list",
            ),
            ("text,label\nx,[a]\ny,[b]\n", "line 2: the labels [a] are no list of names"),
        ] {
            let error = read(&write(folder.path(), "t", content), &Columns::default(), None).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
