//! Tables: separated values, JSON, ARFF and series in `.ts`, plain or compressed.

mod arff;
mod around;
mod arrays;
mod cases;
pub mod cells;
mod columns;
mod conll;
mod fasttext;
mod form;
mod header;
mod json;
mod libsvm;
mod limits;
mod numbers;
mod parse;
mod rows;
mod split;
mod tagged;
mod ts;

use std::path::Path;

pub use form::{Form, Table};
pub use rows::{Row, Rows};

use crate::error::Result;
use crate::file;

impl Table {
    /// Reads a table, plain or compressed: separated by tabs (raw, no quoting), commas, semicolons or bars (quoted where
    /// needed), JSON (an object a line, or a list of objects), ARFF, CoNLL, tagged texts, fastText's
    /// labelled lines, series in `.ts`, or numpy's arrays. The content says which. Numbers that
    /// are written otherwise are rewritten: `1.234,5` as `1234.5`. [`Table::notes`] says what was decided.
    ///
    /// The first row is a header if its cells look like names and those of the rows below do not.
    ///
    /// # Errors
    /// A file that cannot be read, is empty, damaged or in an encoding that is not named; rows with another number of cells
    /// than the first.
    pub fn read(path: &Path) -> Result<Table> {
        Self::read_with(path, None)
    }

    /// As [`Table::read`], told more of its form.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_with(path: &Path, form: impl Into<Form>) -> Result<Table> {
        Self::parse(&file::read(path)?, path, form)
    }

    /// As [`Table::read_with`]; where no header was seen, but the first row holds one of the column names `asked` for, it is one.
    pub(crate) fn read_for(path: &Path, form: Form, asked: &[&str]) -> Result<Table> {
        let bytes = file::read(path)?;
        let table = Self::parse(&bytes, path, form)?;
        let Some(first) = table.rows.first().filter(|_| table.header.is_none() && form.header.is_none()) else {
            return Ok(table);
        };
        let plain = |name: &str| header::clean(name).to_lowercase();
        let is_name = |name: &&&str| !name.trim().is_empty() && name.trim().parse::<f64>().is_err();
        let is_there = |name: &&&str| first.cells().any(|cell| plain(cell) == plain(name));
        let Some(name) = asked.iter().filter(is_name).find(is_there) else { return Ok(table) };
        let mut table = Self::parse(&bytes, path, Form { header: Some(true), ..form })?;
        table.notes.push(format!("the first row is the header: it holds {name:?}"));
        Ok(table)
    }

    /// A table from uncompressed bytes, say those of standard input; `path` is named in messages.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn parse(bytes: &[u8], path: &Path, form: impl Into<Form>) -> Result<Table> {
        let form = form.into();
        if file::HAS_FILES && crate::data::arrays::is(bytes, path) {
            return arrays::table(bytes, path);
        }
        parse::table(&form.encoding.decode(bytes, path)?, path, &form, 0)
    }

    /// A row of a stream as a table without a header (JSON names its columns); `before` lines came before it.
    /// None if the line is blank.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub(crate) fn parse_line(line: &[u8], path: &Path, before: usize) -> Result<Option<Table>> {
        let text = file::utf8_after(before, line, path)?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        parse::table(text, path, &Some(false).into(), before).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{gzip, real_data, write};

    #[test]
    fn sst2_and_imdb_are_read_whole_and_have_no_header() {
        let Some(folder) = real_data("sentiment") else { return };
        for (name, rows) in [("sst2.train.tsv", 6920), ("sst2.dev.tsv", 872), ("sst2.test.tsv", 1821)] {
            let table = Table::read(&folder.join(name)).unwrap();
            assert_eq!((table.rows.len(), table.header.as_ref(), table.width()), (rows, None, 2), "{name}");
            let (text, label, why) = table.text_and_label(None, None).unwrap();
            assert_eq!((text, label), (0, 1), "{why}");
        }
        let table = Table::read(&folder.join("imdb.test.tsv.gz")).unwrap();
        assert_eq!((table.rows.len(), table.header.as_ref(), table.width()), (25_000, None, 4));
        assert_eq!(table.rows.row(24_999).line(), 25_000);
        let (text, label, _) = table.text_and_label(Some("4"), Some("1")).unwrap();
        assert_eq!((text, label), (3, 0));
        assert!(table.text_and_label(None, None).unwrap_err().to_string().contains("`text_column`"));
    }

    #[test]
    fn the_formats_agree_plain_and_gzipped() {
        let folder = tempfile::tempdir().unwrap();
        let tsv = "text\tlabel\nso good, \"really\"\tpos\nbad\tneg\n";
        let csv = "text,label\r\n\"so good, \"\"really\"\"\",pos\r\nbad,neg\r\n";
        let json =
            "{\"text\": \"so good, \\\"really\\\"\", \"label\": \"pos\"}\n{\"label\": \"neg\", \"text\": \"bad\"}\n";
        let want = Table::read(&write(folder.path(), "t.tsv", tsv)).unwrap();
        assert_eq!(want.header.as_deref(), Some(&["text".to_string(), "label".to_string()][..]));
        assert_eq!(want.rows.row(0).line(), 2);
        assert!(want.rows.row(0).cells().eq(["so good, \"really\"", "pos"]));
        for (name, content) in [("tsv", tsv), ("csv", csv), ("jsonl", json), ("json", json), ("ndjson", json)] {
            let plain = write(folder.path(), &format!("t.{name}"), content);
            let zipped = write(folder.path(), &format!("t.{name}.gz"), gzip(content.as_bytes()));
            let unnamed = write(folder.path(), &format!("by_content_{name}"), content);
            let marked = write(folder.path(), &format!("bom.{name}"), format!("\u{feff}{content}"));
            for path in [plain, zipped, unnamed, marked] {
                let table = Table::read(&path).unwrap();
                assert_eq!(table.header, want.header, "{}", path.display());
                let cells = |table: &Table| table.rows.iter().map(|row| row.join("|")).collect::<Vec<_>>();
                assert_eq!(cells(&table), cells(&want), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_table_cut_short_in_its_gzip_file_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let whole = gzip("a b c\t1\n".repeat(100).as_bytes());
        let path = write(folder.path(), "t.tsv.gz", &whole[..whole.len() - 3]);
        let error = Table::read(&path).unwrap_err().to_string();
        assert!(error.contains("t.tsv.gz: the compressed file is cut short"), "{error}");
    }
}
