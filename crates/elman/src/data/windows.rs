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
/// The spread of the series' deviations, that of their logarithms, above which the shapes of the weaker series would be lost
/// beside the stronger ones.
const WIDE: f64 = 1.0;
/// The means and deviations of series are inputs within these bounds.
const FARTHEST: f64 = 10.0;

/// What the values of a series are standardised by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardize {
    /// Left to the data.
    Auto,
    /// Mean and deviation of all training data.
    All,
    /// Those of each series.
    Series,
    /// Those of each series, which are inputs too.
    Moments,
}

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
    /// The scales of the series' means and of the logarithms of their deviations, where these are inputs at each step, of each
    /// channel `[C, 2]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    level: Vec<[Scale; 2]>,
}

/// Steps of a window and from one to the next, for series of so many steps.
pub(crate) fn fitting(steps: usize) -> [usize; 2] {
    if steps < SHORT {
        return [1, 1];
    }
    let stride = (steps / STEPS[1]).clamp(STRIDES[0], STRIDES[1]).max(steps / STEPS[0]);
    [OVERLAP * stride, stride]
}

/// A mean and a deviation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scale {
    mean: f64,
    deviation: f64,
}

impl Scale {
    fn of(values: &[f64]) -> Scale {
        let n = values.len().max(1) as f64;
        let mean = values.iter().sum::<f64>() / n;
        Scale { mean, deviation: (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt() }
    }

    fn is_finite(&self) -> bool {
        self.mean.is_finite() && self.deviation.is_finite()
    }

    /// `value` in deviations from the mean, within bounds.
    fn apply(&self, value: f64) -> f32 {
        ((value - self.mean) / self.deviation.max(1e-9)).clamp(-FARTHEST, FARTHEST) as f32
    }
}

impl Windows {
    /// Fits training series `[T, C]` with their classes, which decide how series are standardised where it is left to them.
    pub(crate) fn fit<'a>(
        [length, stride]: [usize; 2],
        channels: usize,
        standardize: Standardize,
        series: impl Iterator<Item = (&'a [f32], u32)> + Clone,
    ) -> Windows {
        let mut moments: Vec<Vec<f64>> = vec![Vec::new(); 2 * channels];
        let mut classes = Vec::new();
        for (values, class) in series.clone() {
            classes.push(class as usize);
            for (c, [mean, deviation]) in moments_of(values, channels).into_iter().enumerate() {
                moments[2 * c].push(mean);
                moments[2 * c + 1].push(logarithm(deviation));
            }
        }
        let standardize = match standardize {
            Standardize::Auto => by_classes(&moments, &classes),
            given => given,
        };
        let level = match standardize {
            Standardize::Moments => {
                moments.chunks_exact(2).map(|pair| [Scale::of(&pair[0]), Scale::of(&pair[1])]).collect()
            }
            _ => Vec::new(),
        };
        let per_series = matches!(standardize, Standardize::Series | Standardize::Moments);
        let mut windows = Windows { length, stride, per_series, detail: vec![1.0; channels], level };
        if length > 1 {
            let (mut squares, mut count) = (vec![0.0f64; channels], 0.0);
            for (values, _) in series {
                let steps = windows.apply(values.to_vec(), |_| {});
                for step in steps.chunks_exact(windows.width()) {
                    // Behind the windows lies the level.
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
        self.detail.len() * if self.length > 1 { self.length + 1 } else { 1 } + 2 * self.level.len()
    }

    /// Whether its parts fit each other and steps of `width` numbers.
    pub(crate) fn fits(&self, width: usize) -> bool {
        const LONGEST: usize = 1 << 16;
        let scales =
            self.detail.iter().all(|scale| scale.is_finite()) && self.level.iter().flatten().all(Scale::is_finite);
        let level = self.level.is_empty() || self.per_series && self.level.len() == width;
        (1..=LONGEST).contains(&self.length)
            && (1..=LONGEST).contains(&self.stride)
            && width > 0
            && self.detail.len() == width
            && scales
            && level
    }

    /// How series are standardised.
    pub(crate) fn standardize(&self) -> Standardize {
        match (self.per_series, self.level.is_empty()) {
            (false, _) => Standardize::All,
            (true, true) => Standardize::Series,
            (true, false) => Standardize::Moments,
        }
    }

    /// Steps that a series of `steps` steps becomes.
    pub(crate) fn steps(&self, steps: usize) -> usize {
        steps.saturating_sub(self.length).div_ceil(self.stride) + 1
    }

    /// How a step is read, in words.
    pub(crate) fn describe(&self) -> String {
        let scale = match self.standardize() {
            Standardize::Series => ", each series by its own mean and deviation",
            Standardize::Moments => ", each series by its own mean and deviation, which are inputs too",
            _ => "",
        };
        match self.length {
            1 => format!("one step at a time{scale}"),
            length => format!("windows of {length} steps every {}, their means apart{scale}", self.stride),
        }
    }

    /// A series `[T, C]` as a network reads it `[T', I]`; beyond its end a series keeps its last values. `vary` changes the values
    /// once they are standardised, so that what it adds is as strong beside weak series as beside strong ones.
    pub(crate) fn apply(&self, mut values: Vec<f32>, vary: impl FnOnce(&mut [f32])) -> Vec<f32> {
        let channels = self.detail.len();
        let mut level = Vec::new();
        if self.per_series {
            let moments = moments_of(&values, channels);
            standardise(&mut values, &moments);
            level.extend(self.level.iter().zip(&moments).flat_map(|(scales, [mean, deviation])| {
                [scales[0].apply(*mean), scales[1].apply(logarithm(*deviation))]
            }));
        }
        vary(&mut values);
        if self.length == 1 && level.is_empty() {
            return values;
        }
        let len = values.len() / channels.max(1);
        if len == 0 {
            return Vec::new();
        }
        let mut out = Vec::with_capacity(self.steps(len) * self.width());
        for window in 0..self.steps(len) {
            for (c, detail) in self.detail.iter().enumerate() {
                if self.length == 1 {
                    out.push(values[window * self.stride * channels + c]);
                    continue;
                }
                let at = |i: usize| values[(window * self.stride + i).min(len - 1) * channels + c];
                let mean = (0..self.length).map(at).sum::<f32>() / self.length as f32;
                out.push(mean);
                out.extend((0..self.length).map(|i| (at(i) - mean) * detail));
            }
            out.extend(&level);
        }
        out
    }
}

/// Mean and deviation of each channel of a series.
fn moments_of(values: &[f32], channels: usize) -> Vec<[f64; 2]> {
    let n = (values.len() / channels).max(1) as f64;
    let one = |c: usize| {
        let of = || values.iter().skip(c).step_by(channels).map(|&x| f64::from(x));
        let mean = of().sum::<f64>() / n;
        [mean, (of().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt()]
    };
    (0..channels).map(one).collect()
}

/// A deviation on the scale of ratios.
fn logarithm(deviation: f64) -> f64 {
    deviation.max(1e-9).ln()
}

fn standardise(values: &mut [f32], moments: &[[f64; 2]]) {
    for step in values.chunks_exact_mut(moments.len()) {
        for (x, [mean, deviation]) in step.iter_mut().zip(moments) {
            let scale = if *deviation > 1e-9 { 1.0 / deviation } else { 0.0 };
            *x = ((f64::from(*x) - mean) * scale) as f32;
        }
    }
}

/// How series are standardised, by their `moments`, of each channel the means and the logarithms of the deviations: each by its
/// own, unless the classes differ in them by a one-way analysis of variance; then all alike, or, where the deviations lie far
/// apart, each by its own with its moments as inputs.
fn by_classes(moments: &[Vec<f64>], classes: &[usize]) -> Standardize {
    // Many channels are many chances.
    let limit = F_LIMIT * (1.0 + (moments.len() as f64 / 2.0).ln());
    if !moments.iter().any(|values| variance_ratio(values, classes) > limit) {
        return Standardize::Series;
    }
    // A channel that is still in most series says nothing of the others.
    let mut spreads: Vec<f64> = moments.iter().skip(1).step_by(2).map(|values| Scale::of(values).deviation).collect();
    spreads.sort_by(f64::total_cmp);
    if spreads[spreads.len() / 2] > WIDE { Standardize::Moments } else { Standardize::All }
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
        let windows = Windows { length: 4, stride: 2, per_series: false, detail: vec![2.0], level: Vec::new() };
        let steps = windows.apply(values.clone(), |_| {});
        assert_eq!((windows.width(), windows.steps(10), steps.len()), (5, 4, 20));
        assert_eq!(steps[..5], [1.5, -3.0, -1.0, 1.0, 3.0]);
        assert_eq!(steps[15..], [7.5, -3.0, -1.0, 1.0, 3.0]);
        // A last window that reaches beyond the end keeps the last value; so does a series shorter than a window.
        assert_eq!((windows.steps(11), windows.apply(values[..2].to_vec(), |_| {}).len()), (5, 5));
        assert_eq!(windows.apply(vec![1.0, 3.0], |_| {}), [2.5, -3.0, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn details_are_scaled_to_deviations_of_one() {
        let series: Vec<f32> = (0..400).map(|t| 50.0 + 0.01 * (t as f32 * 0.9).sin()).collect();
        let windows = Windows::fit([16, 4], 1, Standardize::All, std::iter::once((&series[..], 0)));
        let steps = windows.apply(series.clone(), |_| {});
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
            let all = all.iter().map(|(values, class)| (&values[..], *class));
            Windows::fit([16, 4], 1, Standardize::Auto, all).standardize()
        };
        assert_eq!(decide([1.0, 1.0]), Standardize::Series);
        assert_eq!(decide([1.0, 3.0]), Standardize::All);
        assert_eq!(decide([1.0, 100.0]), Standardize::Moments);
        let windows = Windows { length: 1, stride: 1, per_series: true, detail: vec![1.0; 2], level: Vec::new() };
        assert_eq!(windows.apply(vec![1.0, 7.0, 3.0, 7.0], |_| {}), [-1.0, 0.0, 1.0, 0.0]);
        // What varies them comes after.
        let varied = windows.apply(vec![1.0, 7.0, 3.0, 7.0], |values| values.iter_mut().for_each(|x| *x += 0.5));
        assert_eq!(varied, [-0.5, 0.5, 1.5, 0.5]);
    }

    #[test]
    fn the_level_of_a_series_is_an_input_at_each_step() {
        let e = std::f32::consts::E;
        let strong: Vec<f32> = (0..80).map(|t| if t % 2 == 0 { 1.0 + e } else { 1.0 - e }).collect();
        let weak: Vec<f32> = (0..80).map(|t| if t % 2 == 0 { 4.0 } else { 2.0 }).collect();
        let series = [(&strong[..], 0), (&weak[..], 1)];
        for length in [1, 4] {
            let windows = Windows::fit([length, length], 1, Standardize::Moments, series.into_iter());
            let width = if length == 1 { 3 } else { 7 };
            assert_eq!((windows.width(), windows.fits(1)), (width, true));
            // Means 1 and 3, logarithms of the deviations 1 and 0: one deviation either way.
            for (values, level) in [(&strong, [-1.0, 1.0]), (&weak, [1.0, -1.0])] {
                let steps = windows.apply(values.clone(), |_| {});
                assert_eq!(steps.len() / width, 80 / length);
                for step in steps.chunks_exact(width) {
                    assert!(step[width - 2..].iter().zip(level).all(|(a, b)| (a - b).abs() < 1e-5), "{step:?}");
                    assert!(step[..width - 2].iter().all(|x| x.abs() < 1.01));
                }
            }
            // What is unlike all that training saw stays within bounds.
            assert_eq!(windows.apply(vec![1e20; 8], |_| {})[width - 2..width], [10.0, -10.0]);
        }
    }
}
