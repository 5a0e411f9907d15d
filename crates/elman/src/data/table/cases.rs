//! Series of a format that holds nothing else, as a table.

use std::path::Path;

use super::rows::{Row, Table};
use crate::error::Result;
use crate::file::fault;

/// A series: its line, the values of each of its dimensions, its label if the file has labels.
pub(super) struct Case {
    pub line: usize,
    pub dimensions: Vec<Vec<String>>,
    pub label: Option<String>,
}

/// A table of series: of one dimension a row for each, else a row for each step.
///
/// # Errors
/// A series without values, of other dimensions than the first, or whose dimensions have different lengths.
pub(super) fn table(cases: Vec<Case>, path: &Path, note: String) -> Result<Table> {
    let Some(first) = cases.first() else {
        return Err(fault(path, "holds no series; there is nothing behind its line @data"));
    };
    let (width, has_label) = (first.dimensions.len(), first.label.is_some());
    for case in &cases {
        let wrong = |reason: String| Err(fault(path, format!("line {}: {reason}", case.line)));
        let lengths: Vec<usize> = case.dimensions.iter().map(Vec::len).collect();
        if case.dimensions.len() != width {
            return wrong(format!("the series has {} dimensions, but the first has {width}", case.dimensions.len()));
        }
        if lengths.contains(&0) {
            return wrong("the series has no values".into());
        }
        if lengths.iter().any(|len| *len != lengths[0]) {
            return wrong(format!("its dimensions have different lengths: {lengths:?}"));
        }
    }
    let table = Table { path: path.into(), notes: vec![note], ..Table::default() };
    if width == 1 {
        let longest = cases.iter().map(|case| case.dimensions[0].len()).max().unwrap_or(0);
        let row = |case: Case| {
            let mut cells: Vec<String> = case.label.into_iter().collect();
            cells.extend(case.dimensions.into_iter().flatten());
            // Shorter ones have empty cells at their ends.
            cells.resize(longest + usize::from(has_label), String::new());
            Row { line: case.line, cells }
        };
        let names = (1..=longest).map(|step| step.to_string());
        let header = has_label.then(|| "label".to_string()).into_iter().chain(names).collect();
        let rows = cases.into_iter().map(row).collect();
        return Ok(Table { header: Some(header), rows, label: has_label.then_some(0), ..table });
    }
    let mut header = vec!["series".to_string()];
    header.extend(has_label.then(|| "label".to_string()));
    header.extend((1..=width).map(|dimension| format!("dimension {dimension}")));
    let mut rows = Vec::new();
    for (i, case) in cases.into_iter().enumerate() {
        for step in 0..case.dimensions[0].len() {
            let mut cells = vec![(i + 1).to_string()];
            cells.extend(case.label.clone());
            cells.extend(case.dimensions.iter().map(|values| values[step].clone()));
            rows.push(Row { line: case.line, cells });
        }
    }
    Ok(Table { header: Some(header), rows, label: has_label.then_some(1), series: Some(0), ..table })
}
