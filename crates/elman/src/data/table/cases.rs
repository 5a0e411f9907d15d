//! Series of a format that holds nothing else, as a table.

use std::path::Path;

use super::form::Table;
use super::rows::Rows;
use crate::error::Result;
use crate::file::fault;

/// A table of series as they come: of one dimension a row for each, else a row for each step.
pub(super) struct Cases<'p> {
    path: &'p Path,
    rows: Rows,
    /// How many there are.
    count: usize,
    /// Dimensions of the first, and whether it has a label.
    first: Option<(usize, bool)>,
    longest: usize,
}

impl<'p> Cases<'p> {
    pub(super) fn new(path: &'p Path) -> Self {
        Cases { path, rows: Rows::default(), count: 0, first: None, longest: 0 }
    }

    /// Adds a series: its line, the values of each of its dimensions, its label if the file has labels.
    ///
    /// # Errors
    /// A series without values, of other dimensions than the first, or whose dimensions have different lengths.
    pub(super) fn push<C: AsRef<str>>(
        &mut self,
        line: usize,
        dimensions: &[Vec<C>],
        label: Option<&str>,
    ) -> Result<()> {
        let wrong = |reason: String| Err(fault(self.path, format!("line {line}: {reason}")));
        let (width, has_label) = *self.first.get_or_insert((dimensions.len(), label.is_some()));
        let lengths: Vec<usize> = dimensions.iter().map(Vec::len).collect();
        if dimensions.len() != width {
            return wrong(format!("the series has {} dimensions, but the first has {width}", dimensions.len()));
        }
        if lengths.is_empty() || lengths.contains(&0) {
            return wrong("the series has no values".into());
        }
        if lengths.iter().any(|len| *len != lengths[0]) {
            return wrong(format!("its dimensions have different lengths: {lengths:?}"));
        }
        self.count += 1;
        self.longest = self.longest.max(lengths[0]);
        let label = label.into_iter().filter(|_| has_label);
        if let [values] = dimensions {
            self.rows.push(line, label.chain(values.iter().map(AsRef::as_ref)));
            return Ok(());
        }
        let number = self.count.to_string();
        for step in 0..lengths[0] {
            let values = dimensions.iter().map(|values| values[step].as_ref());
            self.rows.push(line, std::iter::once(number.as_str()).chain(label.clone()).chain(values));
        }
        Ok(())
    }

    /// # Errors
    /// If there is no series.
    pub(super) fn table(mut self, note: String) -> Result<Table> {
        let Some((width, has_label)) = self.first else {
            return Err(fault(self.path, "holds no series; there is nothing behind its line @data"));
        };
        let table = Table { path: self.path.into(), notes: vec![note], ..Table::default() };
        let label = || has_label.then(|| "label".to_string()).into_iter();
        if width == 1 {
            // Shorter ones have empty cells at their ends.
            self.rows.widen(self.longest + usize::from(has_label));
            let header = label().chain((1..=self.longest).map(|step| step.to_string())).collect();
            return Ok(Table { header: Some(header), rows: self.rows, label: has_label.then_some(0), ..table });
        }
        let names = (1..=width).map(|dimension| format!("dimension {dimension}"));
        let header = std::iter::once("series".to_string()).chain(label()).chain(names).collect();
        Ok(Table { header: Some(header), rows: self.rows, label: has_label.then_some(1), series: Some(0), ..table })
    }
}
