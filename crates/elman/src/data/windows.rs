//! Series as overlapping windows: what a strided convolution in front of a network reads.

use serde::{Deserialize, Serialize};

/// Steps below which each step is read for itself.
const SHORT: usize = 64;
/// Windows that a series becomes at most, about, and that a short one does.
const STEPS: [usize; 2] = [100, 50];
/// Steps between the windows of shorter series, at least and at most.
const STRIDES: [usize; 2] = [2, 4];
/// Windows that overlap at a step.
const OVERLAP: usize = 4;
/// How far the means and deviations of series may tell their classes apart by chance: the value of F that is exceeded so in
/// about one of a hundred cases.
const F_LIMIT: f64 = 5.0;

/// How the steps of a series become those that a network reads; saved in the model.
///
/// A step is a window of each channel: its mean and, scaled to deviations of about 1, the values less the mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Windows {
    /// Steps in a window; 1 for single values.
    length: usize,
    /// Steps from one window to the next.
    stride: usize,
    /// Whether each series is standardised by its own mean and deviation.
    per_series: bool,
    /// What the values less their window's mean are multiplied by, of each channel `[C]`.
    detail: Vec<f32>,
}

/// Steps of a window and from one to the next, for series of so many steps.
pub(crate) fn fitting(steps: usize) -> [usize; 2] {
    if steps < SHORT {
        return [1, 1];
    }
    let stride = (steps / STEPS[1]).clamp(STRIDES[0], STRIDES[1]).max(steps / STEPS[0]);
    [OVERLAP * stride, stride]
}

impl Windows {
    /// Fits training series `[T, C]` with their classes; `per_series` is decided by them where it is not given.
    pub(crate) fn fit<'a>(
        [length, stride]: [usize; 2],
        channels: usize,
        per_series: Option<bool>,
        series: impl Iterator<Item = (&'a [f32], u32)> + Clone,
    ) -> Windows {
        let per_series = per_series.unwrap_or_else(|| !amplitude_tells(channels, series.clone()));
        let mut windows = Windows { length, stride, per_series, detail: vec![1.0; channels] };
        if length > 1 {
            let (mut squares, mut count) = (vec![0.0f64; channels], 0.0);
            for (values, _) in series {
                let steps = windows.apply(values);
                for step in steps.chunks_exact(windows.width()) {
                    for (square, window) in squares.iter_mut().zip(step.chunks_exact(length + 1)) {
                        *square += window[1..].iter().map(|x| f64::from(x * x)).sum::<f64>();
                    }
                    count += length as f64;
                }
            }
            for (detail, square) in windows.detail.iter_mut().zip(squares) {
                let deviation = (square / f64::max(count, 1.0)).sqrt();
                *detail = if deviation > 1e-6 { (1.0 / deviation) as f32 } else { 1.0 };
            }
        }
        windows
    }

    /// `I`, the numbers of a step.
    pub(crate) fn width(&self) -> usize {
        self.detail.len() * if self.length > 1 { self.length + 1 } else { 1 }
    }

    /// Whether its parts fit each other and steps of `width` numbers.
    pub(crate) fn fits(&self, width: usize) -> bool {
        const LONGEST: usize = 1 << 16;
        let scales = self.detail.iter().all(|scale| scale.is_finite());
        (1..=LONGEST).contains(&self.length)
            && (1..=LONGEST).contains(&self.stride)
            && width > 0
            && self.detail.len() == width
            && scales
    }

    /// Whether each series is standardised by its own mean and deviation.
    pub(crate) fn per_series(&self) -> bool {
        self.per_series
    }

    /// Steps that a series of `steps` steps becomes.
    pub(crate) fn steps(&self, steps: usize) -> usize {
        steps.saturating_sub(self.length).div_ceil(self.stride) + 1
    }

    /// How a step is read, in words.
    pub(crate) fn describe(&self) -> String {
        let scale = if self.per_series { ", each series by its own mean and deviation" } else { "" };
        match self.length {
            1 => format!("one step at a time{scale}"),
            length => format!("windows of {length} steps every {}, their means apart{scale}", self.stride),
        }
    }

    /// A series `[T, C]` as a network reads it `[T', I]`; beyond its end a series keeps its last values.
    pub(crate) fn apply(&self, values: &[f32]) -> Vec<f32> {
        let channels = self.detail.len();
        let mut values = std::borrow::Cow::Borrowed(values);
        if self.per_series {
            standardise(values.to_mut(), channels);
        }
        if self.length == 1 {
            return values.into_owned();
        }
        let len = values.len() / channels.max(1);
        if len == 0 {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(self.steps(len) * self.width());
        for window in 0..self.steps(len) {
            for (c, detail) in self.detail.iter().enumerate() {
                let at = |i: usize| values[(window * self.stride + i).min(len - 1) * channels + c];
                let mean = (0..self.length).map(at).sum::<f32>() / self.length as f32;
                out.push(mean);
                out.extend((0..self.length).map(|i| (at(i) - mean) * detail));
            }
        }
        out
    }
}

/// Mean and deviation of each channel of a series.
fn moments(values: &[f32], channels: usize) -> Vec<[f64; 2]> {
    let n = (values.len() / channels).max(1) as f64;
    let one = |c: usize| {
        let of = || values.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
        let mean = of().sum::<f64>() / n;
        [mean, (of().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt()]
    };
    (0..channels).map(one).collect()
}

fn standardise(values: &mut [f32], channels: usize) {
    let moments = moments(values, channels);
    for step in values.chunks_exact_mut(channels) {
        for (x, [mean, deviation]) in step.iter_mut().zip(&moments) {
            let scale = if *deviation > 1e-9 { 1.0 / deviation } else { 0.0 };
            *x = ((f64::from(*x) - mean) * scale) as f32;
        }
    }
}

/// Whether the classes of series differ in the mean or the deviation of a channel, by a one-way analysis of variance.
fn amplitude_tells<'a>(channels: usize, series: impl Iterator<Item = (&'a [f32], u32)>) -> bool {
    let mut classes = Vec::new();
    let mut measures: Vec<Vec<f64>> = vec![Vec::new(); 2 * channels];
    for (values, class) in series {
        classes.push(class as usize);
        for (c, [mean, deviation]) in moments(values, channels).into_iter().enumerate() {
            measures[2 * c].push(mean);
            measures[2 * c + 1].push(deviation.max(1e-9).ln());
        }
    }
    // Many channels are many chances.
    let limit = F_LIMIT * (1.0 + (channels as f64).ln());
    measures.iter().any(|values| variance_ratio(values, &classes) > limit)
}

/// F of a one-way analysis of variance: the variance between classes against that within; 0 where there is next to none.
fn variance_ratio(values: &[f64], classes: &[usize]) -> f64 {
    let count = classes.iter().max().map_or(0, |class| class + 1);
    let mut sums = vec![(0.0, 0.0); count];
    for (&value, &class) in values.iter().zip(classes) {
        sums[class].0 += 1.0;
        sums[class].1 += value;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let groups = sums.iter().filter(|(n, _)| *n > 0.0).count() as f64;
    let between: f64 = sums.iter().filter(|(n, _)| *n > 0.0).map(|(n, sum)| n * (sum / n - mean).powi(2)).sum();
    let of = |class: usize| sums[class].1 / sums[class].0;
    let within: f64 = values.iter().zip(classes).map(|(&value, &class)| (value - of(class)).powi(2)).sum();
    // Series that were standardised before differ by rounding alone.
    if n <= groups || groups < 2.0 || between + within < 1e-6 * n {
        return 0.0;
    }
    (between / (groups - 1.0)) / (within / (n - groups)).max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_overlap_and_split_off_their_mean() {
        let values: Vec<f32> = (0..10).map(|t| t as f32).collect();
        let windows = Windows { length: 4, stride: 2, per_series: false, detail: vec![2.0] };
        let steps = windows.apply(&values);
        assert_eq!((windows.width(), windows.steps(10), steps.len()), (5, 4, 20));
        assert_eq!(steps[..5], [1.5, -3.0, -1.0, 1.0, 3.0]);
        assert_eq!(steps[15..], [7.5, -3.0, -1.0, 1.0, 3.0]);
        // A last window that reaches beyond the end keeps the last value; so does a series shorter than a window.
        assert_eq!((windows.steps(11), windows.apply(&values[..2]).len()), (5, 5));
        assert_eq!(windows.apply(&[1.0, 3.0]), [2.5, -3.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn details_are_scaled_to_deviations_of_one() {
        let series: Vec<f32> = (0..400).map(|t| 50.0 + 0.01 * (t as f32 * 0.9).sin()).collect();
        let windows = Windows::fit([16, 4], 1, Some(false), std::iter::once((&series[..], 0)));
        let steps = windows.apply(&series);
        let details: Vec<f32> = steps.chunks_exact(17).flat_map(|step| step[1..].to_vec()).collect();
        let square = details.iter().map(|x| x * x).sum::<f32>() / details.len() as f32;
        assert!((square - 1.0).abs() < 1e-3, "{square}");
    }

    #[test]
    fn series_are_standardised_unless_amplitude_tells_the_classes_apart() {
        let series = |scale: f32, phase: f32| (0..80).map(move |t| scale * (t as f32 * 0.3 + phase).sin()).collect();
        let decide = |scales: [f32; 2]| {
            let all: Vec<(Vec<f32>, u32)> =
                (0..20).map(|i| (series(scales[i % 2] * (1.0 + 0.01 * i as f32), i as f32), (i % 2) as u32)).collect();
            Windows::fit([16, 4], 1, None, all.iter().map(|(values, class)| (&values[..], *class))).per_series
        };
        assert!(decide([1.0, 1.0]) && !decide([1.0, 3.0]));
        let windows = Windows { length: 1, stride: 1, per_series: true, detail: vec![1.0; 2] };
        assert_eq!(windows.apply(&[1.0, 7.0, 3.0, 7.0]), [-1.0, 0.0, 1.0, 0.0]);
    }
}
