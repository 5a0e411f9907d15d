//! Numbers as people write them: decimal commas, thousands in groups, percent and currency signs.

use super::cells::{is_missing, number};
use super::rows::{Row, Rows};

/// Signs that stand before or behind all numbers of a column.
const SIGNS: [char; 8] = ['%', '$', '€', '£', '¥', '₩', '₹', '‰'];
/// From this share of numbers on, a column is one of numbers.
const SURELY: f64 = 0.98;

/// How the numbers of a column are written, where it is not as Rust reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `1.234,5`
    Comma,
    /// `1,234.5`
    Point,
    /// Both can be read; decided by the other columns.
    Either,
}

/// Rewrites the numbers of columns that are written otherwise, such as `1.234,5` as `1234.5`; says which columns those are, by
/// `name`. `by_commas`: commas separate the cells, so that one within a number rather stands between thousands.
pub(super) fn rewrite(rows: &mut Rows, by_commas: bool, name: impl Fn(usize) -> String) -> Option<String> {
    let styles = styles(rows);
    let has = |style: Style| styles.contains(&Some(style));
    let ambiguous = match () {
        () if has(Style::Comma) => Style::Comma,
        () if has(Style::Point) || by_commas => Style::Point,
        () => Style::Comma,
    };
    if styles.iter().all(Option::is_none) {
        return None;
    }
    let styles: Vec<Option<Style>> =
        styles.into_iter().map(|style| Some(if style? == Style::Either { ambiguous } else { style? })).collect();
    let mut has_comma = vec![false; styles.len()];
    let rewritten = |row: Row<'_>| {
        let cell = |((cell, style), has_comma): ((&str, &Option<Style>), &mut bool)| {
            *has_comma |= style.is_some() && cell.contains(',');
            style.and_then(|style| plain(cell, style)).unwrap_or_else(|| cell.into())
        };
        (row.line(), row.cells().zip(&styles).zip(&mut has_comma).map(cell).collect::<Vec<String>>())
    };
    *rows = rows.iter().map(rewritten).collect();
    let mut told: [Vec<String>; 2] = Default::default();
    for (column, style) in styles.iter().enumerate() {
        if let Some(style) = style {
            told[usize::from(*style == Style::Comma && has_comma[column])].push(name(column));
        }
    }
    let say = |columns: &[String], what: &str| {
        (!columns.is_empty()).then(|| format!("{what} in {}", crate::file::listed(columns)))
    };
    let [others, commas] = &told;
    let said = [say(commas, "decimal commas"), say(others, "signs or groups of thousands")];
    let said: Vec<String> = said.into_iter().flatten().collect();
    (!said.is_empty()).then(|| format!("numbers are written with {}", said.join(" and ")))
}

/// Units behind numbers, as people write them; those of one letter stand behind a blank.
const UNITS: [&str; 52] = [
    "mm", "cm", "m", "km", "in", "ft", "yd", "mi", "mg", "g", "kg", "t", "lb", "lbs", "oz", "ml", "cl", "l", "gal",
    "ms", "s", "sec", "min", "h", "hr", "hrs", "days", "years", "yrs", "mph", "km/h", "m/s", "hz", "khz", "mhz", "ghz",
    "kb", "mb", "gb", "tb", "w", "kw", "kwh", "v", "mv", "a", "ma", "°c", "°f", "px", "rpm", "db",
];

/// A number and the unit behind it.
fn with_unit(cell: &str) -> Option<(&str, &str)> {
    let cell = cell.trim();
    let end = cell.rfind(|c: char| c.is_ascii_digit())? + 1;
    let (value, unit) = (&cell[..end], cell[end..].trim_start());
    let is_apart = cell[end..].starts_with(char::is_whitespace) || unit.chars().count() > 1;
    let is_number = plain(value, Style::Point).or_else(|| plain(value, Style::Comma)).is_some();
    (is_apart && is_number && UNITS.contains(&unit.to_lowercase().as_str())).then_some((value, unit))
}

/// Takes the units off columns whose cells, the first row's perhaps apart, are all numbers with one; says which.
pub(super) fn take_units_off(rows: &mut Rows) -> Option<String> {
    let of = |column: usize| -> Option<String> {
        let mut cells = rows.iter().skip(usize::from(rows.len() > 1)).map(|row| row.cell(column));
        let mut cells = cells.by_ref().filter(|cell| !is_missing(cell)).peekable();
        let (_, unit) = with_unit(cells.peek()?)?;
        cells.all(|cell| with_unit(cell).is_some_and(|(_, other)| other == unit)).then(|| unit.to_string())
    };
    let units: Vec<Option<String>> = (0..rows.first()?.width()).map(of).collect();
    if units.iter().all(Option::is_none) {
        return None;
    }
    let bare = |row: Row<'_>| {
        let cell = |(cell, unit): (&str, &Option<String>)| match with_unit(cell).filter(|_| unit.is_some()) {
            Some((value, _)) => value.to_string(),
            None => cell.to_string(),
        };
        (row.line(), row.cells().zip(&units).map(cell).collect::<Vec<String>>())
    };
    *rows = rows.iter().map(bare).collect();
    let named =
        units.iter().zip(1..).filter_map(|(unit, column)| Some(format!("{:?} of column {column}", unit.as_ref()?)));
    Some(format!("numbers are read without their unit {}", named.collect::<Vec<_>>().join(", ")))
}

/// What the cells of a column look like: how many there are, and how many are numbers in each way of writing.
#[derive(Clone, Copy, Default)]
struct Looks {
    all: u32,
    as_it_stands: u32,
    commas: u32,
    points: u32,
    has_comma: bool,
}

impl Looks {
    fn see(&mut self, cell: &str) {
        if is_missing(cell) {
            return;
        }
        let is_whole = cell.bytes().all(|byte| byte.is_ascii_digit());
        self.all += 1;
        self.as_it_stands += u32::from(is_whole || number(cell).is_some());
        self.commas += u32::from(is_whole || plain(cell, Style::Comma).is_some());
        self.points += u32::from(is_whole || plain(cell, Style::Point).is_some());
        self.has_comma |= cell.contains(',');
    }

    /// None where the cells are no numbers, or are numbers as they stand.
    fn style(self) -> Option<Style> {
        let Looks { all, as_it_stands, commas, points, has_comma } = self;
        let is = |count: u32| all > 0 && f64::from(count) >= SURELY * f64::from(all);
        // As it stands it reads as well: 1.234 is no thousand.
        if as_it_stands >= commas && as_it_stands >= points {
            return None;
        }
        match (is(commas) && has_comma, is(points)) {
            (true, true) if commas == points => Some(Style::Either),
            (true, is_point) if commas > points || !is_point => Some(Style::Comma),
            (_, true) => Some(Style::Point),
            _ => None,
        }
    }
}

/// The style of each column.
fn styles(rows: &Rows) -> Vec<Option<Style>> {
    let mut looks = vec![Looks::default(); rows.widest()];
    for row in rows.iter() {
        looks.iter_mut().zip(row.cells()).for_each(|(looks, cell)| looks.see(cell));
    }
    looks.into_iter().map(Looks::style).collect()
}

/// A cell with the figures of other scripts as those of ASCII, and without signs that have no width; none where it has neither.
fn in_ascii(cell: &str) -> Option<String> {
    /// The zeros: Arabic, Persian, Devanagari, full width.
    const ZEROS: [char; 4] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{ff10}'];
    if cell.is_ascii() {
        return None;
    }
    let figure = |c: char| {
        let of = |zero: &char| u32::from(c).checked_sub(u32::from(*zero)).filter(|value| *value < 10);
        ZEROS.iter().find_map(of).and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
    };
    let is_seen = |c: &char| !matches!(c, '\u{200b}' | '\u{2060}' | '\u{feff}');
    let text: String = cell.chars().filter(is_seen).map(figure).collect();
    (text != cell).then_some(text)
}

/// A number of this style as Rust reads it.
fn plain(cell: &str, style: Style) -> Option<String> {
    let figures = in_ascii(cell);
    let cell = figures.as_deref().unwrap_or(cell).trim();
    // Accountants write what is negative in brackets.
    if let Some(inner) = cell.strip_prefix('(').and_then(|cell| cell.strip_suffix(')')) {
        return plain(inner, style).filter(|inner| !inner.starts_with('-')).map(|inner| format!("-{inner}"));
    }
    let cell = cell.strip_prefix(SIGNS).unwrap_or(cell).trim_start();
    let cell = cell.strip_suffix(SIGNS).unwrap_or(cell).trim_end();
    let (sign, digits) = match cell.chars().next()? {
        // A minus sign proper, as typesetting has it.
        '-' | '\u{2212}' => ("-", &cell[cell.chars().next()?.len_utf8()..]),
        '+' => ("", &cell[1..]),
        _ => ("", cell),
    };
    let digits = digits.strip_prefix(SIGNS).unwrap_or(digits);
    let (decimal, group) = if style == Style::Comma { (',', '.') } else { ('.', ',') };
    let (mantissa, exponent) = digits.split_at(digits.find(['e', 'E']).unwrap_or(digits.len()));
    let (whole, fraction) = mantissa.split_once(decimal).unwrap_or((mantissa, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_group = |c: char| c == group || matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\'' | '’');
    let groups: Vec<&str> = whole.split(is_group).collect();
    let grouped = match &groups[..] {
        [only] => is_digits(only),
        [first, rest @ ..] => {
            // In India groups but the last have two digits.
            let is_group = |(i, part): (usize, &&str)| {
                is_digits(part) && (part.len() == 3 || (part.len() == 2 && i + 1 < rest.len() && first.len() < 3))
            };
            (1..=3).contains(&first.len()) && is_digits(first) && rest.iter().enumerate().all(is_group)
        }
        [] => false,
    };
    if !grouped || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let text = format!("{sign}{}.{fraction}{exponent}", groups.concat());
    let text = text.strip_suffix('.').map(String::from).unwrap_or(text);
    number(&text).filter(|value| value.is_finite()).map(|_| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[&str], by_commas: bool) -> (Vec<String>, bool) {
        let mut rows: Rows = cells.iter().enumerate().map(|(i, cell)| (i + 1, [cell])).collect();
        let told = rewrite(&mut rows, by_commas, |_| "x".into()).is_some();
        (rows.iter().map(|row| row.cell(0).to_string()).collect(), told)
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (cells, by_commas, want) in [
            (&["1,5", "2", "-0,25"][..], false, &["1.5", "2", "-0.25"][..]),
            (&["1.234,5", "12", ""], false, &["1234.5", "12", ""]),
            (&["1,234.5", "12.25"], true, &["1234.5", "12.25"]),
            (&["1,234", "5,678"], true, &["1234", "5678"]),
            (&["1,234", "5,678"], false, &["1.234", "5.678"]),
            (&["1,234,567", "5,678"], false, &["1234567", "5678"]),
            (&["12%", "3.5 %"], true, &["12", "3.5"]),
            (&["$1,200.50", "-$3"], true, &["1200.50", "-3"]),
            (&["(0.50)", "12.25", "(1,200.5)"], true, &["-0.50", "12.25", "-1200.5"]),
            (&["1,20,100.50", "95.5"], true, &["120100.50", "95.5"]),
            (&["1’234.5", "7"], true, &["1234.5", "7"]),
            (&["١٢", "٣٫٤".trim_end_matches("٫٤")], true, &["12", "3"]),
            (&["１０", "２"], true, &["10", "2"]),
            (&["0\u{200b}", "7"], true, &["0", "7"]),
            (&["1 234,5", "\u{2212}7,5"], false, &["1234.5", "-7.5"]),
        ] {
            let (got, told) = column(cells, by_commas);
            assert_eq!(
                (&got[..], told),
                (&want.iter().map(|x| x.to_string()).collect::<Vec<_>>()[..], true),
                "{cells:?}"
            );
        }
    }

    #[test]
    fn what_reads_as_it_stands_is_left() {
        for cells in [
            &["1.234", "5.678"][..],
            &["1e5", "-2"],
            &["a", "1,5"],
            &["red", "blue"],
            &["1,2,3", "4,5"],
            &["10:30", "11:15"],
            &["NA", ""],
        ] {
            let (got, told) = column(cells, false);
            assert_eq!((&got[..], told), (&cells.iter().map(|x| x.to_string()).collect::<Vec<_>>()[..], false));
        }
    }
}
