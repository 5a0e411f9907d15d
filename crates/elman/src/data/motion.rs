//! Rows of a recording as a network reads them: against the recording's own mean so far, with their differences.

use serde::{Deserialize, Serialize};

/// Steps for which the training data's mean and deviation count in a recording's own.
const PRIOR: f64 = 8.0;
/// Differences are over so many steps.
const LAGS: [usize; 2] = [1, 4];
/// The share of a column's variance between recordings from which on each is read by its own mean and deviation.
const BETWEEN: f64 = 0.15;

/// How the rows of recordings become inputs, step by step as they come; saved in the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Motion {
    /// Whether numbers are standardised by the running mean and deviation of their recording.
    running: bool,
    /// Which of the `C` columns are numbers.
    numeric: Vec<bool>,
    /// Steps of the differences.
    lags: Vec<usize>,
    /// What they are multiplied by `[lags, C]`.
    scales: Vec<Vec<f32>>,
}

impl Motion {
    /// Fits training recordings `[T, C]`; `running` is decided by them where it is not given.
    pub(crate) fn fit<'a>(
        numeric: Vec<bool>,
        running: Option<bool>,
        recordings: impl Iterator<Item = &'a [f32]> + Clone,
    ) -> Motion {
        let width = numeric.len();
        let running = running.unwrap_or_else(|| share_between(&numeric, recordings.clone()) > BETWEEN);
        let scale = |lag: usize| {
            let (mut squares, mut count) = (vec![0.0f64; width], 0.0f64);
            for rows in recordings.clone() {
                for (row, before) in rows.chunks_exact(width).skip(lag).zip(rows.chunks_exact(width)) {
                    count += 1.0;
                    squares.iter_mut().zip(row).zip(before).for_each(|((sum, a), b)| *sum += f64::from(a - b).powi(2));
                }
            }
            let one = |square: f64| {
                let deviation = (square / count.max(1.0)).sqrt();
                if deviation > 1e-6 { (1.0 / deviation) as f32 } else { 1.0 }
            };
            squares.into_iter().map(one).collect()
        };
        Motion { running, numeric, lags: LAGS.to_vec(), scales: LAGS.into_iter().map(scale).collect() }
    }

    /// `I`, the numbers of a step.
    pub(crate) fn width(&self) -> usize {
        self.numeric.len() * (1 + self.lags.len())
    }

    /// Whether its parts fit each other and rows of `width` numbers.
    pub(crate) fn fits(&self, width: usize) -> bool {
        const LONGEST: usize = 1 << 16;
        width > 0
            && self.numeric.len() == width
            && self.scales.len() == self.lags.len()
            && self.scales.iter().all(|scales| scales.len() == width)
            && self.lags.iter().all(|lag| (1..=LONGEST).contains(lag))
    }

    /// Whether numbers are standardised by their recording's own mean and deviation.
    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    /// How a step is read, in words.
    pub(crate) fn describe(&self) -> String {
        let lags = self.lags.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
        let scale = if self.running { ", by the recording's own mean and deviation so far" } else { "" };
        format!("a row{scale}, and its differences over {lags} steps")
    }

    /// A recording `[T, C]` as a network reads it `[T, I]`.
    pub(crate) fn apply(&self, rows: &[f32]) -> Vec<f32> {
        let mut state = MotionState::new(self);
        let mut out = Vec::with_capacity(rows.len() * (1 + self.lags.len()));
        rows.chunks_exact(self.numeric.len()).for_each(|row| state.step(self, row, &mut out));
        out
    }
}

/// What is remembered of a recording: constant in its length.
#[derive(Clone, Debug)]
pub(crate) struct MotionState {
    steps: f64,
    /// Of each column: the sum of its values and of their squares.
    sums: Vec<[f64; 2]>,
    /// The last rows, the newest at `steps % len`.
    rows: Vec<Vec<f32>>,
}

impl MotionState {
    /// Before the first row.
    pub(crate) fn new(motion: &Motion) -> MotionState {
        let kept = motion.lags.iter().max().copied().unwrap_or(0) + 1;
        MotionState { steps: 0.0, sums: vec![[0.0; 2]; motion.numeric.len()], rows: vec![Vec::new(); kept] }
    }

    /// Appends the inputs `[I]` of the next row `[C]`.
    pub(crate) fn step(&mut self, motion: &Motion, row: &[f32], out: &mut Vec<f32>) {
        let kept = self.rows.len();
        let now = self.steps as usize;
        self.steps += 1.0;
        for ((&x, sums), &is_number) in row.iter().zip(&mut self.sums).zip(&motion.numeric) {
            if !(motion.running && is_number) {
                out.push(x);
                continue;
            }
            let x = f64::from(x);
            *sums = [sums[0] + x, sums[1] + x * x];
            // In the units of the training data: mean 0, deviation 1.
            let n = PRIOR + self.steps;
            let mean = sums[0] / n;
            let variance = (PRIOR + sums[1]) / n - mean * mean;
            out.push(((x - mean) / variance.max(1e-6).sqrt()) as f32);
        }
        let slot = &mut self.rows[now % kept];
        slot.clear();
        slot.extend_from_slice(row);
        for (&lag, scales) in motion.lags.iter().zip(&motion.scales) {
            // Before the first row there was the first row.
            let before = &self.rows[(now - lag.min(now)) % kept];
            out.extend(row.iter().zip(before).zip(scales).map(|((a, b), scale)| (a - b) * scale));
        }
    }
}

/// The share of the variance of numbers that lies between recordings, on average over the columns.
fn share_between<'a>(numeric: &[bool], recordings: impl Iterator<Item = &'a [f32]>) -> f64 {
    let width = numeric.len();
    let mut sums: Vec<Vec<[f64; 3]>> = Vec::new();
    for rows in recordings {
        let mut of = vec![[0.0; 3]; width];
        for row in rows.chunks_exact(width) {
            for (sum, &x) in of.iter_mut().zip(row) {
                let x = f64::from(x);
                *sum = [sum[0] + 1.0, sum[1] + x, sum[2] + x * x];
            }
        }
        sums.push(of);
    }
    let mut shares = Vec::new();
    for column in (0..width).filter(|&column| numeric[column]) {
        let all = sums.iter().fold([0.0; 3], |all, of| [0, 1, 2].map(|i| all[i] + of[column][i]));
        let mean = all[1] / f64::max(all[0], 1.0);
        let total = all[2] - all[0] * mean * mean;
        let between: f64 = sums
            .iter()
            .map(|of| of[column])
            .filter(|of| of[0] > 0.0)
            .map(|of| of[0] * (of[1] / of[0] - mean).powi(2))
            .sum();
        if total > 1e-9 {
            shares.push(between / total);
        }
    }
    shares.iter().sum::<f64>() / f64::max(shares.len() as f64, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_followed_by_its_differences() {
        let motion =
            Motion { running: false, numeric: vec![true], lags: vec![1, 2], scales: vec![vec![2.0], vec![0.5]] };
        assert_eq!((motion.width(), motion.fits(1), motion.fits(2)), (3, true, false));
        assert_eq!(motion.apply(&[1.0, 4.0, 2.0]), [1.0, 0.0, 0.0, 4.0, 6.0, 1.5, 2.0, -4.0, 0.5]);
    }

    #[test]
    fn a_recording_is_read_by_its_own_level_where_levels_differ() {
        let wave = |level: f32| (0..600).map(move |t| level + (t as f32 * 0.3).sin()).collect::<Vec<_>>();
        let all = [wave(-4.0), wave(0.0), wave(4.0)];
        let motion = Motion::fit(vec![true], None, all.iter().map(Vec::as_slice));
        assert!(motion.is_running());
        // Late in each recording, the same whatever the level.
        let late = |level: f32| motion.apply(&wave(level))[3 * 400..].iter().step_by(3).copied().sum::<f32>() / 200.0;
        assert!((late(-4.0) - late(4.0)).abs() < 0.8 && (late(-4.0)).abs() < 0.6, "{} {}", late(-4.0), late(4.0));
        let same = [wave(0.0), wave(0.1)];
        assert!(!Motion::fit(vec![true], None, same.iter().map(Vec::as_slice)).is_running());
    }
}
