//! Finds columns by name or number, and tells text from label.

use std::collections::HashSet;

use super::form::Table;
use super::header::{LABEL_NAMES, TEXT_NAMES, clean};
use super::rows::Row;
use crate::error::{Error, Result};
use crate::file::{LIST, fault, listed};

/// Maximum length of a sample cell in a message.
const EXAMPLE_CHARS: usize = 40;
/// Minimum similarity of a suggestion.
const LIKENESS: f64 = 0.7;

impl Table {
    /// A column by its header name or its number from 1.
    ///
    /// # Errors
    /// If there is none of that name or number: lists the columns.
    pub fn column(&self, asked: &str) -> Result<usize> {
        if let Some(column) = self.named(asked) {
            return Ok(column);
        }
        if let Ok(number) = asked.parse::<usize>()
            && (1..=self.width()).contains(&number)
        {
            return Ok(number - 1);
        }
        // From the end, as Python counts.
        if let Some(back) = asked.strip_prefix('-').and_then(|back| back.parse::<usize>().ok())
            && (1..=self.width()).contains(&back)
        {
            return Ok(self.width() - back);
        }
        Err(self.no_column(asked))
    }

    /// A column by its header name alone: a model that reads columns called 1, 2, 3 does not take the third for another.
    ///
    /// # Errors
    /// As [`Table::column`].
    pub(crate) fn column_named(&self, name: &str) -> Result<usize> {
        self.named(name).ok_or_else(|| self.no_column(name))
    }

    fn named(&self, asked: &str) -> Option<usize> {
        let header = self.header.as_deref().unwrap_or_default();
        let asked = clean(asked);
        if let Some(column) = header.iter().position(|name| *name == asked) {
            return Some(column);
        }
        // Case and blanks aside, if that is one column.
        let mut alike = header.iter().enumerate().filter(|(_, name)| name.to_lowercase() == asked.to_lowercase());
        alike.next().filter(|_| alike.next().is_none()).map(|(column, _)| column)
    }

    fn no_column(&self, asked: &str) -> Error {
        let header = self.header.as_deref().unwrap_or_default();
        let likeness = |name: &&String| strsim::jaro_winkler(&asked.to_lowercase(), &name.to_lowercase());
        let near = header.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let end = match near.filter(|name| likeness(name) > LIKENESS) {
            Some(name) => format!("; did you mean {name:?}?"),
            None => ".".into(),
        };
        fault(&self.path, format!("has no column {asked:?}{end} Its columns: {}", self.list_columns()))
    }

    /// The column that says which rows are the steps of one series: the given one or that of the format.
    ///
    /// # Errors
    /// As [`Table::column`].
    pub fn series_column(&self, asked: &str) -> Result<usize> {
        match self.series.filter(|_| asked.is_empty()) {
            Some(column) => Ok(column),
            None => self.column(asked),
        }
    }

    /// As [`Table::series_column`], with what training knew of it: the column `asked` now, else that `trained` on. None where the
    /// table lacks the latter, or there is none: it is one series.
    ///
    /// # Errors
    /// As [`Table::column`], of what is asked now.
    pub(crate) fn series_column_or_one(&self, asked: Option<&str>, trained: &str) -> Result<Option<usize>> {
        match asked.filter(|asked| !asked.is_empty()) {
            Some(asked) => self.column(asked).map(Some),
            None if trained.is_empty() => Ok(self.series),
            None => match (self.column(trained), &self.header) {
                (Ok(column), _) => Ok(Some(column)),
                (Err(_), Some(_)) => Ok(self.series),
                (Err(error), None) => Err(error),
            },
        }
    }

    /// The columns with a sample cell of each, for messages.
    pub fn list_columns(&self) -> String {
        let example = |column: usize| {
            let cell = self.rows.iter().map(|row| row.cell(column)).find(|cell| !cell.is_empty()).unwrap_or_default();
            let short: String = cell.chars().take(EXAMPLE_CHARS).collect();
            let dots = if short.len() < cell.len() { ".." } else { "" };
            let name = match &self.header {
                Some(_) => format!("{} {}", column + 1, self.name(column)),
                None => self.name(column),
            };
            format!("{name} ({short:?}{dots})")
        };
        let first: Vec<String> = (0..self.width().min(LIST)).map(example).collect();
        let more = self.width().saturating_sub(LIST);
        first.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
    }

    /// The column of the label: the given one or, if `asked` is empty, the one with such a name.
    ///
    /// # Errors
    /// If it is missing or ambiguous.
    pub fn label_column(&self, asked: &str) -> Result<usize> {
        if !asked.is_empty() {
            return self.column(asked);
        }
        if let Some(label) = self.label {
            return Ok(label);
        }
        let which = "which column is the label? Set `label_column`";
        let Some(header) = &self.header else {
            let columns = self.list_columns();
            return Err(fault(&self.path, format!("{which}, a number from 1 to {}: {columns}", self.width())));
        };
        let named = |name: &str| ["label", "class", "target", "y"].contains(&name.trim().to_lowercase().as_str());
        let found: Vec<usize> = (0..header.len()).filter(|&i| named(&header[i])).collect();
        match found[..] {
            [column] => Ok(column),
            _ => {
                let last = self.name(self.width().saturating_sub(1)).trim_matches('"').to_string();
                Err(fault(&self.path, format!("{which}, `label_column = {last}` say; there are {}", listed(header))))
            }
        }
    }

    /// The column of texts: the one with such a name, or the only one, or the one of two that is no label.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn text_column(&self) -> Result<usize> {
        let header = self.header.as_deref().unwrap_or_default();
        let named: Vec<usize> =
            (0..header.len()).filter(|&i| TEXT_NAMES.contains(&header[i].to_lowercase().as_str())).collect();
        match (&named[..], self.width()) {
            ([column], _) => Ok(*column),
            (_, 1) => Ok(0),
            (_, 2) if self.told_apart().is_ok() => self.told_apart().map(|(text, ..)| text),
            _ => {
                let columns = self.list_columns();
                Err(fault(&self.path, format!("which column holds the texts? Set `text_column`; there are {columns}")))
            }
        }
    }

    /// The text and label columns, given or detected, and a sentence on the choice.
    ///
    /// Of two columns, unspecified ones are detected by the header, else by content: labels are short and repeat,
    /// texts are longer and distinct. With more columns both must be given.
    ///
    /// # Errors
    /// If a column is missing or ambiguous.
    pub fn text_and_label(&self, text: Option<&str>, label: Option<&str>) -> Result<(usize, usize, String)> {
        let text = text.map(|asked| self.column(asked)).transpose()?;
        let label = label.map(|asked| self.column(asked)).transpose()?;
        let (text, label, why) = match (text, label, self.width()) {
            (Some(text), Some(label), _) => (text, label, "as set"),
            (Some(text), None, 2) => (text, 1 - text, "the label is the other of two columns"),
            (None, Some(label), 2) => (1 - label, label, "the text is the other of two columns"),
            (None, None, 2) => self.told_apart()?,
            (_, _, 0 | 1) => {
                let reason = "has one column; a text and its label need two, separated by a tab (or in CSV a comma)";
                return Err(fault(&self.path, reason));
            }
            (text, label, _) if self.by_names(text, label).is_some() => self.by_names(text, label).unwrap_or_default(),
            (_, _, width) => {
                let reason = format!(
                    "has {width} columns; set `text_column` and `label_column` (a name \
                     or a number). Its columns: {}",
                    self.list_columns()
                );
                return Err(fault(&self.path, reason));
            }
        };
        if text == label {
            let reason = format!("column {} cannot be both text and label", self.name(text));
            return Err(fault(&self.path, reason));
        }
        let taken = format!("text is column {}, label is column {} ({why})", self.name(text), self.name(label));
        Ok((text, label, taken))
    }

    /// Of many columns those that alone have names of texts and of labels, where they are not given.
    fn by_names(&self, text: Option<usize>, label: Option<usize>) -> Option<(usize, usize, &'static str)> {
        let header = self.header.as_ref()?;
        let only = |is: &dyn Fn(&str) -> bool| {
            let mut found = (0..header.len()).filter(|&i| is(&header[i].to_lowercase()));
            found.next().filter(|_| found.next().is_none())
        };
        // By the name, else by a word of it: `airline_sentiment`.
        let one = |names: &[&str]| {
            let has_word = |name: &str| name.split(|c: char| !c.is_alphanumeric()).any(|word| names.contains(&word));
            only(&|name| names.contains(&name)).or_else(|| only(&has_word))
        };
        let (text, label) = (text.or_else(|| one(&TEXT_NAMES))?, label.or_else(|| one(&LABEL_NAMES))?);
        (text != label).then_some((text, label, "by the header"))
    }

    /// Leaves out the rows in which one of some `columns` (each with what it is) is blank, if `skip_bad`; how many, in a sentence.
    ///
    /// # Errors
    /// Without `skip_bad`, if there are such rows, with the lines of the first.
    pub(crate) fn leave_out_blank(&mut self, columns: &[(usize, &str)], skip_bad: bool) -> Result<Option<String>> {
        let is_bad = |row: &Row| columns.iter().any(|&(column, _)| row.cell(column).trim().is_empty());
        let bad: Vec<usize> = self.rows.iter().filter(is_bad).map(Row::line).collect();
        let Some(first) = self.rows.iter().find(is_bad) else { return Ok(None) };
        let what =
            columns.iter().find(|&&(column, _)| first.cell(column).trim().is_empty()).map_or("", |(_, what)| what);
        if skip_bad && bad.len() < self.rows.len() {
            let said = format!("{} rows without {} left out (`skip_bad`)", bad.len(), with_or(columns));
            self.rows.retain(|row| !is_bad(&row));
            return Ok(Some(said));
        }
        let lines: Vec<String> = bad.iter().skip(1).take(LIST / 2 - 1).map(usize::to_string).collect();
        let more = if bad.len() > LIST / 2 { format!(" and {} more", bad.len() - LIST / 2) } else { String::new() };
        let others =
            if lines.is_empty() { String::new() } else { format!(" (likewise lines {}{more})", lines.join(", ")) };
        let reason = format!("line {}: the {what} is empty{others}; `skip_bad` leaves such rows out", first.line());
        Err(fault(&self.path, reason))
    }

    /// Text and label of a table of two columns.
    fn told_apart(&self) -> Result<(usize, usize, &'static str)> {
        if let Some(header) = &self.header {
            let is = |column: usize, names: &[&str]| names.contains(&header[column].to_lowercase().as_str());
            let fits = |text: usize, label: usize| {
                (is(text, &TEXT_NAMES) && !is(label, &TEXT_NAMES))
                    || (is(label, &LABEL_NAMES) && !is(text, &LABEL_NAMES))
            };
            match (fits(0, 1), fits(1, 0)) {
                (true, false) => return Ok((0, 1, "by the header")),
                (false, true) => return Ok((1, 0, "by the header")),
                _ => {}
            }
        }
        let rows = self.rows.len();
        let distinct = |column: usize| self.rows.iter().map(|row| row.cell(column)).collect::<HashSet<_>>().len();
        let chars = |column: usize| self.rows.iter().map(|row| row.cell(column).chars().count()).sum::<usize>();
        let (distinct, chars) = ([distinct(0), distinct(1)], [chars(0), chars(1)]);
        // In a small table every label may occur once.
        let comes_again = |column: usize| rows < 10 || distinct[column] * 2 <= rows;
        let is_label = |column: usize| {
            let other = 1 - column;
            distinct[column] <= distinct[other] && chars[column] < chars[other] && comes_again(column)
        };
        match (is_label(0), is_label(1)) {
            (false, true) => Ok((0, 1, "by content: labels are short and repeat")),
            (true, false) => Ok((1, 0, "by content: labels are short and repeat")),
            _ => {
                let reason = format!(
                    "cannot tell the text column from the label column ({} and {} distinct values in {rows} rows); set \
                     `text_column` and `label_column`. Its columns: {}",
                    distinct[0],
                    distinct[1],
                    self.list_columns()
                );
                Err(fault(&self.path, reason))
            }
        }
    }
}

/// "a text or a label".
fn with_or(columns: &[(usize, &str)]) -> String {
    columns.iter().map(|(_, what)| format!("a {what}")).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn csv(text: &str) -> Table {
        Table::parse(text.as_bytes(), Path::new("t.csv"), None).unwrap()
    }

    #[test]
    fn a_column_is_found_by_name_or_number_and_a_wrong_name_lists_all() {
        let table = csv("text,label,3\ngood film,pos,a\nbad film,neg,b");
        assert_eq!(table.header, None, "a number is not a name");
        let table = Table::parse(b"text,label,1\ngood film,pos,a", Path::new("t.csv"), Some(true)).unwrap();
        assert_eq!(table.column("label").unwrap(), 1);
        assert_eq!(table.column("2").unwrap(), 1);
        assert_eq!(table.column("1").unwrap(), 2, "a header name takes precedence over a number");
        let error = table.column("lable").unwrap_err().to_string();
        assert_eq!(
            error,
            "t.csv: has no column \"lable\"; did you mean \"label\"? Its columns: 1 \"text\" (\"good film\"), \
             2 \"label\" (\"pos\"), 3 \"1\" (\"a\")"
        );
        assert_eq!((table.column("-1").unwrap(), table.column("-3").unwrap()), (2, 0), "from the end");
        for asked in ["0", "4", "zzz", "-4", ""] {
            let error = table.column(asked).unwrap_err().to_string();
            assert!(error.contains(&format!("has no column \"{asked}\". Its columns: 1 \"text\"")), "{error}");
        }
    }

    #[test]
    fn text_and_label_are_detected_by_header_or_content() {
        let found = |text: &str| csv(text).text_and_label(None, None).map(|(text, label, _)| (text, label)).ok();
        assert_eq!(found("label,text\nsomething long,x\nanother long thing,y"), Some((1, 0)));
        assert_eq!(found("stars,review\n1,a\n2,b"), Some((1, 0)));
        assert_eq!(found("a long text,pos\nanother text,neg\na third one,pos"), Some((0, 1)));
        assert_eq!(found("pos,a long text\nneg,another text\npos,a third one"), Some((1, 0)));
        assert_eq!(found("ab,cd\nef,gh"), None, "alike");
        assert_eq!(found("one long text,x\none long text,y\n"), None, "a label is shorter than a text");
        let pairs: String = (0..20).map(|i| format!("a house {i},la grande maison {i}\n")).collect();
        assert_eq!(found(&pairs), None, "a column of distinct values is not a label");
    }

    #[test]
    fn a_given_column_determines_the_other_of_two() {
        let table = csv("ab,cd\nef,gh");
        let (text, label, why) = table.text_and_label(Some("2"), None).unwrap();
        assert_eq!((text, label), (1, 0), "{why}");
        assert!(why.contains("text is column 2, label is column 1"), "{why}");
        assert!(table.text_and_label(Some("2"), Some("2")).unwrap_err().to_string().contains("both"));
        let one = csv("a\nb");
        assert!(one.text_and_label(None, None).unwrap_err().to_string().contains("one column"));
        let three = csv("id,words,kind\n1,good,x\n2,bad,y");
        let error = three.text_and_label(Some("words"), None).unwrap_err().to_string();
        assert!(error.contains("`label_column`") && error.contains("2 \"words\" (\"good\")"), "{error}");
        let named = csv("id,Document,label\n1,good,x\n2,bad,y");
        assert_eq!(named.text_and_label(None, None).unwrap().0, 1, "by the header");
        assert_eq!((named.column("document").unwrap(), named.column(" id ").unwrap()), (1, 0));
    }
}
