//! A column of a table, and what its cells become.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::deviation::above_zero;
use crate::data::table::cells::{is_missing, is_no_number, number};
use crate::error::{Error, Result};
use crate::file::fault;

/// How the cells of one column become inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its index in a row.
    pub(super) cell: usize,
    /// Its name, if there is a header.
    pub(super) name: Option<String>,
    /// Whether values were missing in training: then an indicator input is added.
    pub missing: bool,
    /// Words among numbers that stood for missing ones in training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) words: Vec<String>,
    /// Content of its cells.
    pub kind: Kind,
}

/// Content of a column's cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// Numbers, standardised.
    Numeric {
        /// Mean over the training rows.
        mean: f64,
        /// Standard deviation over the training rows.
        #[serde(rename = "deviation", deserialize_with = "above_zero")]
        std: f64,
        /// The least and the greatest input, about what training saw: others are read as these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<[f64; 2]>,
    },
    /// Categories, one-hot.
    Categorical {
        /// The most frequent first.
        categories: Vec<String>,
        /// Whether rarer ones share an input of their own.
        other: bool,
    },
    /// No value in any row.
    Empty,
}

impl Column {
    /// The header's name, else the number from 1.
    pub fn title(&self) -> String {
        self.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| format!("column {}", self.cell + 1))
    }

    pub(super) fn width(&self) -> usize {
        let kind = match &self.kind {
            Kind::Numeric { .. } => 1,
            Kind::Categorical { categories, other } => categories.len() + usize::from(*other),
            Kind::Empty => 0,
        };
        kind + usize::from(self.missing)
    }

    pub(super) fn names(&self, names: &mut Vec<String>) {
        let title = self.title();
        match &self.kind {
            Kind::Numeric { .. } => names.push(title.clone()),
            Kind::Categorical { categories, other } => {
                names.extend(categories.iter().map(|category| format!("{title}={category}")));
                if *other {
                    names.push(format!("{title}=(other)"));
                }
            }
            Kind::Empty => {}
        }
        if self.missing {
            names.push(format!("{title} is missing"));
        }
    }

    pub(super) fn push(&self, cell: &str, line: usize, path: &Path, out: &mut Vec<f32>) -> Result<()> {
        let is_number = matches!(self.kind, Kind::Numeric { .. });
        let missing = if is_number { self.is_no_number(cell) } else { is_missing(cell) };
        match &self.kind {
            Kind::Numeric { .. } if missing => out.push(0.0),
            Kind::Numeric { mean, std, limits } => {
                let value = ((self.finite(cell, line, path)? - mean) / std) as f32;
                if !value.is_finite() {
                    return Err(self.refusal(cell, line, path, "is too far outside the range of the training data"));
                }
                out.push(limits.map_or(value, |[least, greatest]| value.clamp(least as f32, greatest as f32)));
            }
            Kind::Categorical { categories, other } => {
                let index = categories.iter().position(|category| category == cell.trim());
                let hot = |at: usize| if index == Some(at) && !missing { 1.0 } else { 0.0 };
                out.extend((0..categories.len()).map(hot));
                if *other {
                    out.push(if index.is_none() && !missing { 1.0 } else { 0.0 });
                }
            }
            Kind::Empty => {}
        }
        if self.missing {
            out.push(if missing { 1.0 } else { 0.0 });
        }
        Ok(())
    }

    /// Whether a cell among numbers marks a missing one.
    pub(super) fn is_no_number(&self, cell: &str) -> bool {
        is_no_number(cell) || self.words.iter().any(|word| word == cell.trim())
    }

    /// What training did not see of a cell: a category, or a number far from all of it; in words.
    pub(super) fn surprise(&self, cell: &str) -> Option<String> {
        let short: String = cell.trim().chars().take(40).collect();
        match &self.kind {
            Kind::Categorical { categories, other: false } if !is_missing(cell) => {
                let is_known = categories.iter().any(|category| category == cell.trim());
                (!is_known).then(|| format!("{}: {short:?} did not occur in training", self.title()))
            }
            Kind::Numeric { mean, std, limits: Some([least, greatest]) } if !self.is_no_number(cell) => {
                let value = (number(cell)? - mean) / std;
                // The limits are a deviation further than what training saw.
                let range = greatest - least;
                let is_far = value < least - range || value > greatest + range;
                is_far.then(|| {
                    let [least, greatest] = [least + 1.0, greatest - 1.0].map(|x| rounded(x * std + mean));
                    format!("{}: {short} lies far outside what training saw, {least} to {greatest}", self.title())
                })
            }
            Kind::Numeric { .. } if !self.missing && self.is_no_number(cell) => {
                Some(format!("{}: no value, as never in training: read as the mean", self.title()))
            }
            _ => None,
        }
    }

    pub(super) fn finite(&self, cell: &str, line: usize, path: &Path) -> Result<f64> {
        let remedy = "leave the cell empty if the value is missing";
        match number(cell) {
            Some(value) if (value as f32).is_finite() => Ok(value),
            Some(_) => Err(self.refusal(cell, line, path, &format!("is not a finite number; {remedy}"))),
            None => {
                Err(self.refusal(cell, line, path, &format!("is not a number, but the column is numeric; {remedy}")))
            }
        }
    }

    pub(super) fn refusal(&self, cell: &str, line: usize, path: &Path, what: &str) -> Error {
        let name = match &self.name {
            Some(name) => format!("column {} {name:?}", self.cell + 1),
            None => format!("column {}", self.cell + 1),
        };
        let short: String = cell.chars().take(40).collect();
        fault(path, format!("line {line}, {name}: {short:?} {what}"))
    }
}

/// A number as people read it: four digits.
pub(crate) fn rounded(value: f64) -> String {
    let digits = 4 - value.abs().max(1e-9).log10().floor() as i32 - 1;
    let text = format!("{value:.*}", digits.clamp(0, 12) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

/// The words of a column that stand for missing numbers, for a description.
pub(super) fn missing_words(column: &Column) -> String {
    match &column.words[..] {
        [] => String::new(),
        words => {
            format!("; {} as missing", words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" and "))
        }
    }
}
