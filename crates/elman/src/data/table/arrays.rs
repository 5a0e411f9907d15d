//! numpy's arrays as tables: a row for each example, or for each step of series.

use std::path::Path;

use super::cases::Cases;
use super::form::Table;
use super::rows::Rows;
use crate::data::arrays::{self, Part};
use crate::error::Result;
use crate::file::fault;

/// Reads the training part of a file: `[N, F]` as rows with their labels, `[N, T, D]` (or `[N, D, T]`, the longer being time) as
/// series.
///
/// # Errors
/// As [`arrays::parts`]; more dimensions.
pub(super) fn table(bytes: &[u8], path: &Path) -> Result<Table> {
    let (Part { inputs, labels }, _) = arrays::parts(bytes, path)?;
    let label = |example: usize| labels.as_ref().map(|labels| labels.cell(example));
    match inputs.dims[..] {
        [count] => {
            let cells = |example: usize| std::iter::once(inputs.cell(example)).chain(label(example));
            Ok(of_rows((0..count).map(|i| (i + 1, cells(i))).collect(), 1, labels.is_some(), path))
        }
        [count, width] => {
            let cells = |example: usize| {
                let inputs = &inputs;
                let values = (0..width).map(move |column| inputs.cell(example * width + column));
                values.chain(label(example))
            };
            Ok(of_rows((0..count).map(|i| (i + 1, cells(i))).collect(), width, labels.is_some(), path))
        }
        [count, a, b] => {
            let (steps, width, is_time_last) = if b > a { (b, a, true) } else { (a, b, false) };
            let cell = |example: usize, step: usize, channel: usize| {
                let within = if is_time_last { channel * b + step } else { step * b + channel };
                inputs.cell(example * a * b + within)
            };
            let mut cases = Cases::new(path);
            for example in 0..count {
                let values = |d: usize| -> Vec<String> { (0..steps).map(|t| cell(example, t, d)).collect() };
                cases.push(example + 1, &(0..width).map(values).collect::<Vec<_>>(), label(example).as_deref())?;
            }
            let note =
                format!("read as {count} series of {steps} steps and {width} dimensions, from {:?}", inputs.dims);
            cases.table(note)
        }
        _ => {
            let reason = format!("its inputs have dimensions {:?}; [N, F] or [N, T, D] are read here", inputs.dims);
            Err(fault(path, reason))
        }
    }
}

/// Rows have no lines; their numbers take that place.
fn of_rows(rows: Rows, width: usize, has_label: bool, path: &Path) -> Table {
    let names = (1..=width).map(|column| format!("x{column}"));
    let header = names.chain(has_label.then(|| "label".to_string())).collect();
    let notes = vec![format!("read as {} rows of {width} numbers", rows.len())];
    let label = has_label.then_some(width);
    Table { path: path.into(), header: Some(header), rows, notes, label, ..Table::default() }
}
