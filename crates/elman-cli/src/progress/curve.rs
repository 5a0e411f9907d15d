//! The loss curve in characters: dots of braille for training, a mark for each validation.
//!
//! The first steps of a run fall so far that everything after them would be a flat line. The scale is therefore that of
//! the later part; what lies above it runs along the upper edge.

/// Columns of dots in a character, and rows.
const DOTS: (usize, usize) = (2, 4);
/// Share of the steps, from the newest back, that sets the scale.
const RECENT: f64 = 0.75;
/// Blocks of rising height.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// What a cell of the drawing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Nothing.
    Empty,
    /// Dots of the training curve.
    Train(char),
    /// A validation.
    Val,
}

/// Points `(step, value)` in rising steps.
pub(crate) type Points = [(f64, f64)];

/// The lowest and highest value of the later part of these curves.
pub(crate) fn range(curves: &[&Points]) -> Option<(f64, f64)> {
    let all = || curves.iter().flat_map(|points| points.iter()).filter(|(_, y)| y.is_finite());
    let first = all().map(|p| p.0).fold(f64::MAX, f64::min);
    let last = all().map(|p| p.0).fold(f64::MIN, f64::max);
    let from = last - RECENT * (last - first);
    let recent = || all().filter(|p| p.0 >= from).map(|p| p.1);
    let (low, high) = recent().fold((f64::MAX, f64::MIN), |(low, high), y| (low.min(y), high.max(y)));
    (low <= high).then_some((low, high))
}

/// Where a value stands between two others, from 0 to 1; in the middle where they are one.
fn share(y: f64, (low, high): (f64, f64)) -> f64 {
    if high > low { ((y - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 }
}

/// Mean value of each of `n` equal parts of the steps from `x0` to `x1`; parts without a point lie on the line between
/// their neighbours.
fn columns(points: &Points, n: usize, (x0, x1): (f64, f64)) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0u32); n];
    for &(x, y) in points.iter().filter(|(_, y)| y.is_finite()) {
        let sum = &mut sums[column(x, n, (x0, x1))];
        *sum = (sum.0 + y, sum.1 + 1);
    }
    let mut means: Vec<Option<f64>> = sums.iter().map(|&(sum, k)| (k > 0).then(|| sum / f64::from(k))).collect();
    let mut before: Option<(usize, f64)> = None;
    for i in 0..n {
        let Some(y) = means[i] else { continue };
        if let Some((at, y0)) = before {
            for (k, mean) in means.iter_mut().enumerate().take(i).skip(at + 1) {
                *mean = Some(y0 + (y - y0) * (k - at) as f64 / (i - at) as f64);
            }
        }
        before = Some((i, y));
    }
    means
}

fn column(x: f64, n: usize, (x0, x1): (f64, f64)) -> usize {
    let share = if x1 > x0 { (x - x0) / (x1 - x0) } else { 1.0 };
    ((share * n as f64) as usize).min(n - 1)
}

/// A curve of `width` x `height` cells, rows from the top; `range` from [`range`].
pub(crate) fn drawing(train: &Points, val: &Points, width: usize, height: usize, range: (f64, f64)) -> Vec<Vec<Cell>> {
    let mut cells = vec![vec![Cell::Empty; width]; height];
    if width == 0 || height == 0 {
        return cells;
    }
    let xs = || train.iter().chain(val).map(|p| p.0);
    let span = (xs().fold(f64::MAX, f64::min), xs().fold(f64::MIN, f64::max));
    let (n, rows) = (DOTS.0 * width, DOTS.1 * height);
    let row = |y: f64| ((1.0 - share(y, range)) * (rows - 1) as f64).round() as usize;
    let mut dots = vec![vec![0u8; width]; height];
    let mut last: Option<usize> = None;
    for (i, y) in columns(train, n, span).into_iter().enumerate() {
        let Some(at) = y.map(row) else { continue };
        // A line without gaps: half the way to the neighbour would leave some.
        let from = last.map_or(at, |last| {
            if last < at {
                last + 1
            } else if last > at {
                last - 1
            } else {
                at
            }
        });
        for r in from.min(at)..=from.max(at) {
            dots[r / DOTS.1][i / DOTS.0] |= dot(i % DOTS.0, r % DOTS.1);
        }
        last = Some(at);
    }
    for (r, line) in dots.iter().enumerate() {
        for (i, &dots) in line.iter().enumerate().filter(|(_, dots)| **dots != 0) {
            cells[r][i] = Cell::Train(char::from_u32(0x2800 + u32::from(dots)).unwrap_or('.'));
        }
    }
    for &(x, y) in val.iter().filter(|(_, y)| y.is_finite()) {
        cells[row(y) / DOTS.1][column(x, width, span)] = Cell::Val;
    }
    cells
}

/// The bit of a braille dot: the first six count down the columns, the lowest row came later.
fn dot(column: usize, row: usize) -> u8 {
    match (column, row) {
        (0, 3) => 1 << 6,
        (_, 3) => 1 << 7,
        (column, row) => 1 << (3 * column + row),
    }
}

/// A curve in one line of blocks.
pub(crate) fn blocks(points: &Points, width: usize) -> String {
    let (Some(range), Some(first), Some(last)) = (range(&[points]), points.first(), points.last()) else {
        return String::new();
    };
    let width = width.min(points.len());
    if width == 0 {
        return String::new();
    }
    let block = |y: Option<f64>| y.map_or(' ', |y| BLOCKS[(share(y, range) * 7.0).round() as usize]);
    columns(points, width, (first.0, last.0)).into_iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss that falls as losses do: far at first, then ever less.
    fn falling(n: usize) -> Vec<(f64, f64)> {
        (1..=n).map(|i| (i as f64, 1.0 + 3.0 / i as f64)).collect()
    }

    #[test]
    fn the_late_part_of_a_curve_has_most_of_the_height() {
        let points = falling(1000);
        let range = range(&[&points]).unwrap();
        assert_eq!(range, (1.003, 1.0 + 3.0 / 251.0));
        let rows = drawing(&points, &[], 40, 4, range);
        let used = |columns: std::ops::Range<usize>| {
            rows.iter().filter(|row| row[columns.clone()].iter().any(|cell| *cell != Cell::Empty)).count()
        };
        assert_eq!((used(0..9), used(10..40)), (1, 4));
        let line = blocks(&points, 20);
        let heights: std::collections::BTreeSet<char> = line.chars().skip(5).collect();
        assert!(heights.len() >= 6, "{line}");
    }

    #[test]
    fn the_line_has_no_gap_and_marks_stand_at_their_place() {
        let train: Vec<(f64, f64)> = (0..8).map(|i| (f64::from(i), f64::from(i % 2))).collect();
        let cells = drawing(&train, &[(7.0, 1.0)], 4, 2, (0.0, 1.0));
        assert_eq!(cells[0][3], Cell::Val);
        assert!(cells.iter().all(|row| row[..3].iter().all(|cell| matches!(cell, Cell::Train(_)))));
        let sparse = drawing(&[(0.0, 0.0), (100.0, 1.0)], &[], 10, 2, (0.0, 1.0));
        assert!((0..10).all(|i| sparse.iter().any(|row| row[i] != Cell::Empty)));
    }

    #[test]
    fn one_point_none_and_no_number_are_drawn() {
        assert_eq!((blocks(&[], 10), blocks(&[(1.0, 2.0)], 0)), (String::new(), String::new()));
        assert_eq!(range(&[&[(1.0, f64::NAN)]]), None);
        assert_eq!(blocks(&[(1.0, 2.0)], 10), "▅");
        let cells = drawing(&[(1.0, 2.0), (2.0, f64::NAN)], &[], 3, 1, (2.0, 2.0));
        assert_eq!(cells[0].iter().filter(|cell| **cell != Cell::Empty).count(), 1);
        assert_eq!(drawing(&[], &[], 0, 0, (0.0, 1.0)).len(), 0);
    }
}
