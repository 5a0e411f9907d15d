//! What a person looks at beside the measures of a validation: the confusion matrix, examples with prediction and truth,
//! and what simple rules reach on the same examples.

use serde::{Deserialize, Serialize};

/// Classes whose confusion matrix is kept.
pub const CLASSES: usize = 40;
/// Examples that are kept.
const EXAMPLES: usize = 16;
/// The longest side of an image that is kept, and the points of a series.
const PIXELS: usize = 64;
const POINTS: usize = 160;
/// Channels of a series, and characters of a text.
const CHANNELS: usize = 6;
const CHARACTERS: usize = 400;

/// What a validation showed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Optimizer steps done.
    pub step: u64,
    /// Validation examples.
    pub examples: usize,
    /// The classes; none where the model does not classify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Counts of true (rows) and predicted classes, of a few classes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Vec<u64>>,
    /// What simple rules reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Baseline>,
    /// Some examples, wrong predictions first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<Example>,
}

/// What a simple rule reaches on the examples that a model is measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The rule: `always "pos"`, `linear`, `naive Bayes`.
    pub name: String,
    /// The measure, as the evaluation calls it.
    pub measure: String,
    /// Its value.
    pub value: f64,
}

/// An example with what was predicted for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What the model read.
    pub input: Shown,
    /// What is right.
    pub truth: String,
    /// What was predicted.
    pub predicted: String,
    /// The probability of the prediction, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Whether the prediction is right; none of numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_right: Option<bool>,
    /// Of a prediction at each step: the true and the predicted classes, in stretches of class and steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Vec<(usize, usize)>>,
}

/// An input as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// Its name, its text or its values.
    Text(String),
    /// An image.
    Image {
        /// Pixels across.
        width: usize,
        /// Pixels down.
        height: usize,
        /// 1 or 3.
        channels: usize,
        /// `[height, width, channels]`, two hexadecimal digits each.
        pixels: String,
    },
    /// The values of each channel over time.
    Series(Vec<Vec<f32>>),
}

impl Shown {
    /// A text, of which the beginning is kept.
    pub fn text(text: &str) -> Shown {
        match text.char_indices().nth(CHARACTERS) {
            Some((at, _)) => Shown::Text(format!("{}…", &text[..at])),
            None => Shown::Text(text.into()),
        }
    }

    /// An image `[height, width, channels]`, made small.
    pub fn image(pixels: &[u8], [height, width, channels]: [usize; 3]) -> Shown {
        let every = height.max(width).div_ceil(PIXELS).max(1);
        let (rows, columns) = (height.div_ceil(every), width.div_ceil(every));
        let mut text = String::with_capacity(2 * rows * columns * channels);
        for y in (0..height).step_by(every) {
            for x in (0..width).step_by(every) {
                for channel in 0..channels {
                    let pixel = pixels.get((y * width + x) * channels + channel).copied().unwrap_or(0);
                    text.push_str(&format!("{pixel:02x}"));
                }
            }
        }
        Shown::Image { width: columns, height: rows, channels, pixels: text }
    }

    /// A series `[T, C]`, of which some points of some channels are kept.
    pub fn series(values: &[f32], channels: usize) -> Shown {
        let channels = channels.max(1);
        let steps = values.len() / channels;
        let every = steps.div_ceil(POINTS).max(1);
        let rounded = |value: f32| (value * 1000.0).round() / 1000.0;
        let of = |channel| (0..steps).step_by(every).map(move |t| rounded(values[t * channels + channel])).collect();
        Shown::Series((0..channels.min(CHANNELS)).map(of).collect())
    }

    /// In a few words on one line.
    fn in_words(&self) -> String {
        const WORDS: usize = 70;
        match self {
            Shown::Text(text) => {
                let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
                match line.char_indices().nth(WORDS) {
                    Some((at, _)) => format!("{}…", &line[..at]),
                    None => line,
                }
            }
            Shown::Image { width, height, channels, pixels } => drawn([*width, *height, *channels], pixels),
            Shown::Series(channels) => channels.first().map_or_else(String::new, |values| sparkline(values)),
        }
    }
}

/// An image in rows of half blocks of grey, as a terminal shows it.
fn drawn([width, height, channels]: [usize; 3], pixels: &str) -> String {
    const COLUMNS: usize = 28;
    const GREYS: [char; 5] = [' ', '░', '▒', '▓', '█'];
    let every = width.div_ceil(COLUMNS).max(1);
    let grey = |x: usize, y: usize| {
        let at = 2 * (y * width + x) * channels;
        let value = pixels.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(0);
        GREYS[usize::from(value) * (GREYS.len() - 1) / 255]
    };
    let row = |y: usize| (0..width).step_by(every).map(|x| grey(x, y)).collect::<String>().trim_end().to_string();
    // A letter is twice as high as it is wide.
    let rows: Vec<String> = (0..height).step_by(2 * every).map(row).collect();
    let first = rows.iter().position(|row| !row.is_empty()).unwrap_or(0);
    let last = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
    format!("\n{}\n", rows[first..last.max(first)].join("\n"))
}

/// A series as one line of bars.
fn sparkline(values: &[f32]) -> String {
    const COLUMNS: usize = 48;
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let every = values.len().div_ceil(COLUMNS).max(1);
    let (low, high) = values.iter().fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    let bar = |x: &f32| BARS[(((x - low) / (high - low).max(1e-9) * 7.0) as usize).min(7)];
    values.iter().step_by(every).map(bar).collect()
}

impl Review {
    /// The first examples as lines: what was read, what was predicted, what is right.
    pub fn in_words(&self, count: usize) -> String {
        let line = |example: &Example| {
            let Example { input, truth, predicted, probability, is_right, .. } = example;
            let probability = probability.map_or_else(String::new, |p| format!(" {p:.2}"));
            let verdict = match is_right {
                Some(true) => "right".into(),
                Some(false) => format!("wrong: {truth}"),
                None => format!("truth {truth}"),
            };
            format!("{}  ->  {predicted}{probability}, {verdict}", input.in_words())
        };
        self.shown.iter().take(count).map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Which examples are shown: mistakes, the worst first, up to half of them, and others evenly spread. `wrong` is how wrong each
/// example is, 0 for right ones.
pub fn chosen(wrong: &[f64]) -> Vec<usize> {
    let mut mistakes: Vec<usize> = (0..wrong.len()).filter(|&i| wrong[i] > 0.0).collect();
    mistakes.sort_by(|&a, &b| wrong[b].total_cmp(&wrong[a]).then(a.cmp(&b)));
    let right: Vec<usize> = (0..wrong.len()).filter(|&i| wrong[i] <= 0.0).collect();
    let others = (EXAMPLES / 2).max(EXAMPLES.saturating_sub(mistakes.len())).min(right.len());
    mistakes.truncate(EXAMPLES - others);
    let spread = (0..others).map(|i| right[i * right.len() / others]);
    mistakes.into_iter().chain(spread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_come_first_and_right_examples_fill_the_rest() {
        let mut wrong = vec![0.0; 100];
        (wrong[7], wrong[50]) = (0.5, 0.9);
        let shown = chosen(&wrong);
        assert_eq!((shown.len(), &shown[..2]), (EXAMPLES, &[50, 7][..]));
        assert!(shown[2..].is_sorted());
        assert_eq!(chosen(&[1.0; 100]).len(), EXAMPLES);
        assert_eq!(chosen(&[0.0, 1.0]), [1, 0]);
    }

    #[test]
    fn inputs_are_made_small() {
        let Shown::Image { width, height, pixels, .. } = Shown::image(&[255; 300 * 200 * 3], [200, 300, 3]) else {
            panic!()
        };
        assert!(width <= 64 && height <= 64 && pixels.len() == 2 * width * height * 3, "{width} {height}");
        let Shown::Series(channels) = Shown::series(&[0.12345; 9000], 9) else { panic!() };
        assert!(channels.len() == 6 && channels[0].len() <= 160 && channels[0][0] == 0.123);
        assert_eq!(Shown::text("ab"), Shown::Text("ab".into()));
        assert_eq!(Shown::text(&"é".repeat(500)).in_words().chars().count(), 71);
    }

    #[test]
    fn examples_are_lines() {
        let example = |is_right| Example {
            input: Shown::text("a film"),
            truth: "pos".into(),
            predicted: "neg".into(),
            probability: Some(0.876),
            is_right,
            steps: Vec::new(),
        };
        let review = Review { shown: vec![example(Some(false)), example(None)], ..Review::default() };
        assert_eq!(review.in_words(5), "a film  ->  neg 0.88, wrong: pos\na film  ->  neg 0.88, truth pos");
        let image = Shown::image(&[0, 255, 255, 0], [2, 2, 1]);
        assert_eq!(image.in_words(), "\n █\n");
        assert_eq!(Shown::series(&[0.0, 1.0, 0.5], 1).in_words(), "▁█▄");
    }
}
