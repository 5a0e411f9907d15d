//! What the columns of a table are, by its training rows: measurements, categories, or none of it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::column::{Column, Kind};
use crate::data::table::Table;
use crate::data::table::cells::{is_missing, is_no_number, number};
use crate::error::Result;
use crate::file::fault;

/// Maximum one-hot inputs of a column; rarer categories share one more.
pub(super) const MAX_CATEGORIES: usize = 100;
/// From this share of numbers on, a column is numeric and a text in it an error.
const SURELY_NUMERIC: f64 = 0.98;

/// How the cells of a column become inputs, by these rows.
///
/// # Errors
/// As [`Features::choose`](super::Features::choose).
pub(super) fn fit_column(table: &Table, rows: &[usize], cell: usize, is_robust: bool) -> Result<Column> {
    let name = table.header.as_ref().map(|header| header[cell].clone());
    let mut column = Column { cell, name, missing: false, words: Vec::new(), kind: Kind::Empty };
    let all = rows.iter().map(|&row| table.rows.row(row)).map(|row| (row.line(), row.cell(cell)));
    let mut present: Vec<(usize, &str)> = all.filter(|(_, cell)| !is_missing(cell)).collect();
    if is_robust {
        column.words = words_among_numbers(&present);
        if let words @ [_, ..] = &column.words[..] {
            present.retain(|(_, cell)| !words.iter().any(|word| word == cell.trim()));
        }
    }
    if present.is_empty() {
        return Ok(column);
    }
    column.missing = present.len() < rows.len();
    let numbers = present.iter().filter(|(_, cell)| number(cell).is_some()).count();
    let share = numbers as f64 / present.len() as f64;
    let distinct = present.iter().map(|(_, cell)| cell.trim()).collect::<HashSet<_>>().len();
    // Among classes such as `0, 1, 2, 3+` the text repeats; among measured values it is an error.
    let slip = share >= SURELY_NUMERIC || (share >= 0.5 && distinct * 2 > present.len());
    column.kind =
        if slip { numeric(&column, &present, &table.path, is_robust)? } else { categorical(&column, &present, table)? };
    Ok(column)
}

/// The words of a column of measured numbers that stand for missing ones: the usual marks, or one or two that come again.
fn words_among_numbers(present: &[(usize, &str)]) -> Vec<String> {
    /// Numbers of which so many differ are measured, and no classes.
    const DISTINCT: usize = 10;
    const SHARE: f64 = 0.5;
    const WORDS: usize = 2;
    let (mut numbers, mut others): (HashSet<&str>, HashMap<&str, usize>) = Default::default();
    let mut count = 0;
    for (_, cell) in present {
        let cell = cell.trim();
        match number(cell) {
            Some(_) => {
                count += 1;
                numbers.insert(cell);
            }
            None => *others.entry(cell).or_default() += 1,
        }
    }
    let is_usual = others.keys().all(|word| is_no_number(word));
    let comes_again = others.len() <= WORDS && others.values().all(|&times| times > 1);
    let are_measured = numbers.len() >= DISTINCT && f64::from(count) >= SHARE * present.len() as f64;
    if others.is_empty() || !are_measured || !(is_usual || comes_again) {
        return Vec::new();
    }
    let mut words: Vec<String> = others.into_keys().map(String::from).collect();
    words.sort();
    words
}

fn numeric(column: &Column, present: &[(usize, &str)], path: &Path, is_robust: bool) -> Result<Kind> {
    let mut values =
        present.iter().map(|&(line, cell)| column.finite(cell, line, path)).collect::<Result<Vec<f64>>>()?;
    // In a constant column only the rounding of the mean would be left.
    if values.iter().all(|value| *value == values[0]) {
        return Ok(Kind::Numeric { mean: values[0], std: 1.0, limits: None });
    }
    if is_robust {
        limit_outliers(&mut values);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
    let tiny = variance.sqrt() <= f64::EPSILON * mean.abs();
    let std = if tiny { 1.0 } else { variance.sqrt() };
    let (least, greatest) = values.iter().fold((f64::MAX, f64::MIN), |(a, b), &value| (a.min(value), b.max(value)));
    // A deviation further than what was seen: a little more is still a little more.
    let limits = is_robust.then(|| [(least - mean) / std - 1.0, (greatest - mean) / std + 1.0]);
    Ok(Kind::Numeric { mean, std, limits })
}

/// Moves values that lie many interquartile ranges from the median to that distance from it: a single one would set the
/// scale of all.
fn limit_outliers(values: &mut [f64]) {
    const RANGES: f64 = 10.0;
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[(share * (sorted.len() - 1) as f64).round() as usize];
    let (middle, range) = (at(0.5), at(0.75) - at(0.25));
    if range > 0.0 {
        values.iter_mut().for_each(|x| *x = x.clamp(middle - RANGES * range, middle + RANGES * range));
    }
}

/// Titles of columns that name the rows.
const NAMES: [&str; 11] =
    ["id", "index", "row", "rownames", "row.names", "row_names", "rowname", "row number", "uuid", "unnamed: 0", ""];

/// Whether these are numbers of a row of whole numbers, each drawn once, as row numbers are after a shuffle: measurements that
/// lie so close repeat.
fn are_drawn(x: &[f64]) -> bool {
    const ROWS: usize = 100;
    const SPREAD: f64 = 4.0;
    let (least, greatest) = x.iter().fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(*x), b.max(*x)));
    let is_close = greatest - least < SPREAD * x.len() as f64;
    let mut sorted = x.to_vec();
    sorted.sort_by(f64::total_cmp);
    x.len() >= ROWS && is_close && x.iter().all(|x| x.fract() == 0.0) && sorted.windows(2).all(|pair| pair[0] < pair[1])
}

/// Why a column is no measurement, if it seems to be none: it counts the rows of each group, or it names them or the group.
pub(super) fn tell(table: &Table, groups: &[Vec<usize>], column: usize) -> Option<&'static str> {
    /// Rows and groups from which on chance is no reason.
    const ROWS: usize = 20;
    const GROUPS: usize = 3;
    /// Dates and times that are this few may be classes.
    const CLASSES: usize = 12;
    /// One in so many is no number where codes are; fewer are slips.
    const WORDS: usize = 10;
    let cell = |row: usize| table.rows.row(row).cell(column).trim();
    let rows: Vec<usize> = groups.concat();
    let present: Vec<&str> = rows.iter().map(|&row| cell(row)).filter(|cell| !is_missing(cell)).collect();
    let distinct: HashSet<&str> = present.iter().copied().collect();
    if present.len() < ROWS || distinct.len() < 2 {
        return None;
    }
    let title = table.header.as_ref().map_or("", |header| header[column].trim()).to_lowercase();
    let numbers = |rows: &[usize]| rows.iter().map(|&row| number(cell(row))).collect::<Option<Vec<f64>>>();
    let (is_one, long) = (groups.len() == 1, groups.iter().filter(|rows| rows.len() >= 8).collect::<Vec<_>>());
    let counts = |rows: &&Vec<usize>| {
        numbers(rows).is_some_and(|x| {
            let rises = x.windows(2).all(|pair| pair[1] > pair[0]) || x.windows(2).all(|pair| pair[1] < pair[0]);
            // A table may be sorted by what was measured; a row number or a time is whole.
            rises && (!is_one || x.iter().all(|x| x.fract() == 0.0))
        })
    };
    if !long.is_empty() && long.iter().all(counts) {
        return Some("it counts the rows");
    }
    let are_times = present.iter().filter(|cell| is_time(cell)).count() * 20 >= present.len() * 19;
    if are_times && distinct.len() > CLASSES {
        return Some("its values are dates or times; month, weekday or hour may be columns of their own");
    }
    // A missing value among numbers makes no text of them.
    let is_number = 2 * present.iter().filter(|cell| number(cell).is_some()).count() >= present.len();
    if !is_number && distinct.len() > MAX_CATEGORIES && distinct.len() * 2 > present.len() {
        return Some("its values hardly ever repeat, as names, times and sentences do");
    }
    let words = present.iter().filter(|cell| number(cell).is_none() && !is_no_number(cell)).count();
    if is_number && words * WORDS >= present.len() && words >= ROWS / 2 && distinct.len() * 2 > present.len() {
        return Some("its numbers and words hardly ever repeat, as codes do");
    }
    let is_called_so = NAMES.contains(&title.as_str()) || title.ends_with("_id");
    if is_called_so && table.header.is_some() && distinct.len() == present.len() {
        return Some("it names the rows");
    }
    if !is_number && distinct.len() == present.len() {
        return Some("its values never repeat, as names do");
    }
    if is_one && present.len() == rows.len() && !title.contains("rank") && numbers(&rows).is_some_and(|x| are_drawn(&x))
    {
        return Some("it numbers the rows");
    }
    let constant = |rows: &Vec<usize>| rows.windows(2).all(|pair| cell(pair[0]) == cell(pair[1]));
    let firsts: HashSet<&str> = groups.iter().filter_map(|rows| rows.first()).map(|&row| cell(row)).collect();
    if !is_one && groups.len() >= GROUPS && firsts.len() == groups.len() && groups.iter().all(constant) {
        return Some("it names the sequence");
    }
    None
}

/// Whether a cell reads as a date or a time: figures with such signs between them.
fn is_time(cell: &str) -> bool {
    let signs = cell.chars().filter(|c| matches!(c, '-' | '/' | ':')).count();
    let figures = cell.chars().filter(char::is_ascii_digit).count();
    let is_of_time = |c: char| c.is_ascii_digit() || matches!(c, '-' | '/' | ':' | '.' | ' ' | ',' | '+' | 'T' | 'Z');
    let rest = cell.trim_end_matches(['A', 'P', 'M', 'a', 'p', 'm']);
    signs >= 2 && figures >= 4 && cell.starts_with(|c: char| c.is_ascii_digit()) && rest.chars().all(is_of_time)
}

/// Whether a column holds more words than there can be categories.
pub(crate) fn is_of_words(table: &Table, column: usize) -> bool {
    let cells = || table.rows.iter().map(|row| row.cell(column).trim()).filter(|cell| !is_missing(cell));
    let (numbers, all) = cells().fold((0, 0), |(n, all), cell| (n + usize::from(number(cell).is_some()), all + 1));
    numbers * 2 < all && cells().collect::<HashSet<_>>().len() > MAX_CATEGORIES
}

fn categorical(column: &Column, present: &[(usize, &str)], table: &Table) -> Result<Kind> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    present.iter().for_each(|(_, cell)| *counts.entry(cell.trim()).or_default() += 1);
    if counts.len() > MAX_CATEGORIES && counts.len() * 2 > present.len() {
        let reason = format!(
            "column {} holds {} distinct values in {} rows, like names or sentences; exclude it from the inputs",
            table.name(column.cell),
            counts.len(),
            present.len()
        );
        return Err(fault(&table.path, reason));
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let other = ranked.len() > MAX_CATEGORIES;
    let categories = ranked.iter().take(MAX_CATEGORIES).map(|(category, _)| category.to_string()).collect();
    Ok(Kind::Categorical { categories, other })
}
