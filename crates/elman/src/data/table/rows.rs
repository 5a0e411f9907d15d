//! The rows of a table, in little more memory than the file has characters.

use std::ops::Range;

/// Cells in a block whose beginning is kept.
const BLOCK: usize = 32;
/// The length that says: this cell's is kept elsewhere.
const LONG: u8 = u8::MAX;

/// Texts, one after another: a cell of a few characters takes these and a byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells {
    text: String,
    /// The length of each in bytes, or [`LONG`].
    lengths: Vec<u8>,
    /// Where each block begins in `text`.
    blocks: Vec<usize>,
    /// The long ones: their numbers, ascending, and their lengths.
    long: Vec<(usize, usize)>,
}

impl Cells {
    pub(super) fn push(&mut self, cell: &str) {
        let index = self.lengths.len();
        if index.is_multiple_of(BLOCK) {
            self.blocks.push(self.text.len());
        }
        self.text.push_str(cell);
        let length = u8::try_from(cell.len()).unwrap_or(LONG);
        if length == LONG {
            self.long.push((index, cell.len()));
        }
        self.lengths.push(length);
    }

    pub(super) fn len(&self) -> usize {
        self.lengths.len()
    }

    fn length(&self, index: usize) -> usize {
        match self.lengths[index] {
            LONG => self.long.binary_search_by_key(&index, |long| long.0).map_or(0, |at| self.long[at].1),
            length => usize::from(length),
        }
    }

    /// Where a cell begins; that of the one behind the last is the end.
    fn start(&self, index: usize) -> usize {
        let Some(&block) = self.blocks.get(index / BLOCK) else { return self.text.len() };
        (index / BLOCK * BLOCK..index).fold(block, |at, before| at + self.length(before))
    }

    pub(super) fn get(&self, index: usize) -> &str {
        let start = self.start(index);
        &self.text[start..start + self.length(index)]
    }

    fn iter(&self, range: Range<usize>) -> impl Iterator<Item = &str> {
        let mut end = self.start(range.start);
        range.map(move |index| {
            let start = end;
            end += self.length(index);
            &self.text[start..end]
        })
    }
}

/// The rows of a table in file order.
///
/// ```
/// use elman::data::table::Rows;
///
/// let rows: Rows = [(1, ["1.5", "red"]), (3, ["2", "blue"])].into_iter().collect();
/// assert_eq!((rows.len(), rows.row(1).line(), rows.row(1).cell(1)), (2, 3, "blue"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rows {
    cells: Cells,
    /// Neighbouring rows with the same number of cells: the first one's number, that of its first cell, and their width.
    runs: Vec<Run>,
    /// Rows whose line does not follow that of the row before by one, and these lines.
    lines: Vec<(usize, usize)>,
    /// Rows, those before `from` among them.
    count: usize,
    /// Rows that were taken away from the front.
    from: usize,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    row: usize,
    cell: usize,
    width: usize,
}

/// One row of a table.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    rows: &'a Rows,
    /// Counted with those that were taken away.
    index: usize,
    first: usize,
    width: usize,
}

impl Rows {
    /// Adds a row, which begins on this line of the file, from 1.
    pub fn push<C: AsRef<str>>(&mut self, line: usize, cells: impl IntoIterator<Item = C>) {
        let first = self.cells.len();
        cells.into_iter().for_each(|cell| self.cells.push(cell.as_ref()));
        let width = self.cells.len() - first;
        if self.runs.last().is_none_or(|run| run.width != width) {
            self.runs.push(Run { row: self.count, cell: first, width });
        }
        if self.count == 0 || self.line(self.count - 1) + 1 != line {
            self.lines.push((self.count, line));
        }
        self.count += 1;
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.count - self.from
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A row by its number from 0; none behind the last.
    pub fn get(&self, row: usize) -> Option<Row<'_>> {
        let index = self.from.checked_add(row).filter(|&index| index < self.count)?;
        let run = self.runs[self.runs.partition_point(|run| run.row <= index) - 1];
        Some(Row { rows: self, index, first: run.cell + (index - run.row) * run.width, width: run.width })
    }

    /// A row by its number from 0.
    ///
    /// # Panics
    /// If there is none.
    pub fn row(&self, row: usize) -> Row<'_> {
        self.get(row).unwrap_or_else(|| panic!("there is no row {row} of {}", self.len()))
    }

    /// The first row.
    pub fn first(&self) -> Option<Row<'_>> {
        self.get(0)
    }

    /// All rows.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> + Clone {
        self.range(0..self.len())
    }

    /// The rows of these numbers.
    ///
    /// # Panics
    /// On use, if there is one behind the last.
    pub fn range(&self, rows: Range<usize>) -> impl ExactSizeIterator<Item = Row<'_>> + Clone {
        rows.map(|row| self.row(row))
    }

    /// Keeps the rows for which this holds.
    pub(super) fn retain(&mut self, is_kept: impl Fn(Row<'_>) -> bool) {
        *self = self.iter().filter(|row| is_kept(*row)).map(|row| (row.line(), row.cells())).collect();
    }

    /// Keeps the columns for which this holds.
    pub(super) fn retain_columns(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut rows = Rows::default();
        for row in self.iter() {
            let kept = row.cells().enumerate().filter(|(column, _)| is_kept(*column));
            rows.push(row.line(), kept.map(|(_, cell)| cell));
        }
        *self = rows;
    }

    /// Gives each row this many cells, with empty ones behind those that it has.
    pub(super) fn widen(&mut self, width: usize) {
        if self.of_width(width) < self.len() {
            let padded = self.iter().map(|row| (row.line(), row.cells().chain(std::iter::repeat("")).take(width)));
            *self = padded.collect();
        }
    }

    /// Takes the first row away.
    pub(super) fn take_first(&mut self) -> Option<Vec<String>> {
        let cells = self.first()?.cells().map(String::from).collect();
        self.from += 1;
        Some(cells)
    }

    /// How many rows have this many cells.
    pub(super) fn of_width(&self, width: usize) -> usize {
        let ends = self.runs.iter().skip(1).map(|run| run.row).chain([self.count]);
        let rows = |run: &Run, end: usize| end.max(self.from) - run.row.max(self.from);
        self.runs.iter().zip(ends).filter(|(run, _)| run.width == width).map(|(run, end)| rows(run, end)).sum()
    }

    /// How often the number of cells changes from one row to the next.
    pub(super) fn changes(&self) -> usize {
        self.runs.len()
    }

    /// The most cells of a row.
    pub(super) fn widest(&self) -> usize {
        self.runs.iter().map(|run| run.width).max().unwrap_or(0)
    }

    fn line(&self, index: usize) -> usize {
        let (row, line) = self.lines[self.lines.partition_point(|(row, _)| *row <= index) - 1];
        line + (index - row)
    }
}

impl<'a> Row<'a> {
    /// Its first line in the file, from 1.
    pub fn line(self) -> usize {
        self.rows.line(self.index)
    }

    /// The number of its cells.
    pub fn width(self) -> usize {
        self.width
    }

    /// A cell.
    ///
    /// # Panics
    /// If there is no such column.
    pub fn cell(self, column: usize) -> &'a str {
        self.get(column).unwrap_or_else(|| panic!("there is no column {column} of {}", self.width))
    }

    /// A cell; none behind the last.
    pub fn get(self, column: usize) -> Option<&'a str> {
        (column < self.width).then(|| self.rows.cells.get(self.first + column))
    }

    /// Its cells, one per column.
    pub fn cells(self) -> impl Iterator<Item = &'a str> {
        self.rows.cells.iter(self.first..self.first + self.width)
    }

    /// Its cells with this between them.
    pub fn join(self, between: &str) -> String {
        self.cells().collect::<Vec<_>>().join(between)
    }
}

impl<C: AsRef<str>, R: IntoIterator<Item = C>> FromIterator<(usize, R)> for Rows {
    fn from_iter<I: IntoIterator<Item = (usize, R)>>(rows: I) -> Rows {
        rows.into_iter().fold(Rows::default(), |mut all, (line, cells)| {
            all.push(line, cells);
            all
        })
    }
}

impl PartialEq for Row<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.line() == other.line() && self.cells().eq(other.cells())
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: ", self.line())?;
        f.debug_list().entries(self.cells()).finish()
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().zip(other.iter()).all(|(a, b)| a == b)
    }
}

impl Eq for Rows {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_every_length_come_back() {
        let long = "é".repeat(200);
        let cell = |i: usize| match i % 7 {
            0 => String::new(),
            3 => long[..2 * (i % 200)].to_string(),
            _ => i.to_string(),
        };
        let (mut rows, mut want) = (Rows::default(), Vec::new());
        for row in 0..300 {
            let (line, width) = (row + 1 + row / 40, 1 + row / 100);
            let cells: Vec<String> = (0..width).map(|column| cell(row * 3 + column)).collect();
            rows.push(line, &cells);
            want.push((line, cells));
        }
        let all = |rows: &Rows| -> Vec<(usize, Vec<String>)> {
            rows.iter().map(|row| (row.line(), row.cells().map(String::from).collect())).collect()
        };
        assert_eq!(all(&rows), want);
        for (row, (line, cells)) in want.iter().enumerate() {
            let found = rows.row(row);
            let by_column: Vec<&str> = (0..found.width()).map(|column| found.cell(column)).collect();
            assert_eq!((found.line(), by_column), (*line, cells.iter().map(String::as_str).collect()));
        }
        assert_eq!((rows.of_width(2), rows.widest(), rows.get(300)), (100, 3, None));
        assert_eq!(rows.take_first().unwrap(), want.remove(0).1);
        assert_eq!((all(&rows), rows.of_width(1)), (want.clone(), 99));
        rows.retain(|row| row.line() % 2 == 0);
        want.retain(|(line, _)| line % 2 == 0);
        assert_eq!(all(&rows), want);
        rows.retain_columns(|column| column != 1);
        want.iter_mut().filter(|(_, cells)| cells.len() > 1).for_each(|(_, cells)| drop(cells.remove(1)));
        assert_eq!(all(&rows), want);
    }

    #[test]
    fn a_cell_of_one_digit_takes_little_more_than_its_text() {
        let rows: Rows = (1..=1000).map(|line| (line, ["1"; 100])).collect();
        let taken = rows.cells.text.len() + rows.cells.lengths.len() + rows.cells.blocks.len() * size_of::<usize>();
        assert_eq!((rows.lines.len(), rows.runs.len(), rows.cells.long.len()), (1, 1, 0));
        assert!(taken <= 1000 * 100 * 9 / 4, "{taken}");
    }
}
