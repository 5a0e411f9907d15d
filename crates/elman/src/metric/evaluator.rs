//! Predictions against targets: metrics of classification, frame labelling and regression.

use super::classification::Confusion;
use super::logits::{argmax, probabilities};
use super::segments::{self, SegmentScores};
use super::{calibration, labels, ranking};

/// Bins of the expected calibration error.
const BINS: usize = 15;

/// The target of an example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth<'a> {
    /// A class per step `[T]`, or one.
    Classes(&'a [u32]),
    /// The labels that hold of several, by number, ascending.
    Labels(&'a [u32]),
    /// Numbers `[V]`.
    Values(&'a [f32]),
}

impl<'a> Truth<'a> {
    /// The classes, or the labels that hold; empty for numbers.
    pub fn classes(self) -> &'a [u32] {
        match self {
            Truth::Classes(classes) | Truth::Labels(classes) => classes,
            Truth::Values(_) => &[],
        }
    }
}

/// A network's outputs for an example.
#[derive(Clone, Copy, Debug)]
pub struct Predicted<'a> {
    /// Logits `[T, V]`, logits of labels `[V]`, or numbers `[V]`.
    pub outputs: &'a [f32],
    /// The target.
    pub truth: Truth<'a>,
}

/// How predictions are evaluated.
#[derive(Clone, Debug)]
pub enum Evaluator {
    /// One class per example.
    Classes {
        /// `V`.
        classes: usize,
        /// Temperature of the softmax.
        temperature: f64,
    },
    /// A class per step.
    Frames {
        /// `V`.
        classes: usize,
        /// The background class.
        background: Option<u32>,
        /// Temperature of the softmax.
        temperature: f64,
    },
    /// Several labels an example, each of which holds or does not.
    Labels {
        /// `V`.
        labels: usize,
    },
    /// Standardised numbers; in the data's units: `value * std + mean`.
    Values {
        /// The standard deviation of each number.
        std: Vec<f64>,
    },
}

/// The metrics.
#[derive(Clone, Debug)]
pub struct Measures {
    /// Metrics by name; the first selects the best model.
    pub values: Vec<(&'static str, f64)>,
    /// Whether higher is better for the first.
    pub higher_is_better: bool,
    /// Counts of true and predicted classes.
    pub confusion: Option<Confusion>,
}

impl Evaluator {
    /// Evaluates predictions.
    pub fn evaluate<'a>(&self, predictions: impl Iterator<Item = Predicted<'a>>) -> Measures {
        match self {
            Evaluator::Classes { classes, temperature } => {
                Steps::new(*classes, *temperature, None).evaluate(predictions, false)
            }
            Evaluator::Frames { classes, background, temperature } => {
                Steps::new(*classes, *temperature, *background).evaluate(predictions, true)
            }
            Evaluator::Labels { labels } => {
                let pairs = predictions.map(|one| (one.outputs, one.truth.classes()));
                Measures { values: labels::measures(pairs, *labels), higher_is_better: true, confusion: None }
            }
            Evaluator::Values { std } => values(predictions, std),
        }
    }
}

/// Counts over steps.
struct Steps {
    classes: usize,
    temperature: f64,
    confusion: Confusion,
    nats: f64,
    confidence: Vec<f64>,
    correct: Vec<bool>,
    /// For two classes: the probability of the second and whether it is the true one.
    second: (Vec<f64>, Vec<bool>),
    frames: SegmentScores,
    background: Option<u32>,
    /// True segments whose class has the highest summed log-probability within them, and all.
    found: [u64; 2],
}

impl Steps {
    fn new(classes: usize, temperature: f64, background: Option<u32>) -> Self {
        Steps {
            classes,
            temperature,
            confusion: Confusion::new(classes),
            nats: 0.0,
            confidence: Vec::new(),
            correct: Vec::new(),
            second: (Vec::new(), Vec::new()),
            frames: SegmentScores::new(background),
            background,
            found: [0, 0],
        }
    }

    fn evaluate<'a>(mut self, predictions: impl Iterator<Item = Predicted<'a>>, is_frames: bool) -> Measures {
        for predicted in predictions {
            self.add(predicted, is_frames);
        }
        let total = self.confidence.len().max(1) as f64;
        let accuracy = self.confusion.accuracy();
        let mut values =
            vec![("accuracy", accuracy), ("macro_f1", self.confusion.macro_f1()), ("loss_nats", self.nats / total)];
        if is_frames {
            let [f1_10, f1_25, f1_50] = self.frames.f1();
            values.extend([
                ("foreground_accuracy", self.frames.foreground_accuracy()),
                ("edit", self.frames.edit()),
                ("f1_10", f1_10),
                ("f1_25", f1_25),
                ("f1_50", f1_50),
                ("segment_accuracy", self.found[0] as f64 / self.found[1].max(1) as f64),
            ]);
        } else {
            let error = calibration::expected_calibration_error(&self.confidence, &self.correct, BINS);
            values.extend(error.ok().map(|error| ("calibration_error", error)));
            let (scores, truths) = (&self.second.0, &self.second.1);
            values.extend(ranking::roc_auc(scores, truths).map(|area| ("roc_auc", area)));
            values.extend(ranking::average_precision(scores, truths).map(|area| ("average_precision", area)));
        }
        Measures { values, higher_is_better: true, confusion: Some(self.confusion) }
    }

    fn add(&mut self, predicted: Predicted, is_frames: bool) {
        let truth = predicted.truth.classes();
        let mut p = Vec::new();
        let mut classes = Vec::with_capacity(truth.len());
        let mut log_p = Vec::with_capacity(predicted.outputs.len());
        for (logits, &target) in predicted.outputs.chunks_exact(self.classes).zip(truth) {
            probabilities(logits, self.temperature, &mut p);
            let class = argmax(logits);
            classes.push(class as u32);
            self.nats -= p[target as usize].max(f64::MIN_POSITIVE).ln();
            self.confusion.add(target as usize, class);
            self.confidence.push(p[class]);
            if is_frames {
                log_p.extend(p.iter().map(|p| p.max(f64::MIN_POSITIVE).ln()));
                continue;
            }
            self.correct.push(class == target as usize);
            if self.classes == 2 {
                self.second.0.push(p[1]);
                self.second.1.push(target == 1);
            }
        }
        if is_frames {
            self.frames.add(truth, &classes);
            for segment in segments::segments(truth, self.background) {
                let sum = |class: usize| segment.frames.clone().map(|t| log_p[t * self.classes + class]).sum::<f64>();
                let of = (0..self.classes).filter(|&class| self.background != Some(class as u32));
                let sums = of.map(|class| (class as u32, sum(class)));
                let found = sums.max_by(|a, b| a.1.total_cmp(&b.1)).is_some_and(|(class, _)| class == segment.label);
                self.found = [self.found[0] + u64::from(found), self.found[1] + 1];
            }
        }
    }
}

/// Metrics of a regression, in the units of the data.
fn values<'a>(predictions: impl Iterator<Item = Predicted<'a>>, std: &[f64]) -> Measures {
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    let mut half_squares = 0.0;
    let mut examples = 0usize;
    for predicted in predictions {
        let Truth::Values(truth) = predicted.truth else { continue };
        examples += 1;
        for ((&y, &target), &std) in predicted.outputs.iter().zip(truth).zip(std) {
            let error = f64::from(y) - f64::from(target);
            half_squares += 0.5 * error * error;
            pairs.push((error * std, f64::from(target) * std));
        }
    }
    let n = pairs.len().max(1) as f64;
    let squares: f64 = pairs.iter().map(|(error, _)| error * error).sum();
    let mean = pairs.iter().map(|(_, target)| target).sum::<f64>() / n;
    let spread: f64 = pairs.iter().map(|(_, target)| (target - mean) * (target - mean)).sum();
    let values = vec![
        ("loss", half_squares / examples.max(1) as f64),
        ("rmse", (squares / n).sqrt()),
        ("mae", pairs.iter().map(|(error, _)| error.abs()).sum::<f64>() / n),
        // Undefined where all targets are equal.
        ("r2", if spread > 0.0 { 1.0 - squares / spread } else { f64::NAN }),
    ];
    Measures { values, higher_is_better: false, confusion: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Measures {
        fn get(&self, name: &str) -> Option<f64> {
            self.values.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
        }
    }

    #[test]
    fn sequence_metrics_match_their_definitions() {
        let evaluator = Evaluator::Frames { classes: 3, background: Some(0), temperature: 1.0 };
        // Truth 0 1 1 2; the second step is predicted as 2, but over both steps 1 has the higher sum.
        let outputs = [5.0, 0.0, 0.0, 0.0, 1.0, 1.5, 0.0, 3.0, 0.0, 0.0, 0.0, 2.0];
        let predicted = Predicted { outputs: &outputs, truth: Truth::Classes(&[0, 1, 1, 2]) };
        let measures = evaluator.evaluate([predicted].into_iter());
        assert_eq!(measures.get("accuracy"), Some(0.75));
        assert_eq!(measures.get("foreground_accuracy"), Some(2.0 / 3.0));
        assert_eq!(measures.get("segment_accuracy"), Some(1.0));
        let nats = |z: [f64; 3], target: usize| z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[target];
        let want =
            nats([5.0, 0.0, 0.0], 0) + nats([0.0, 1.0, 1.5], 1) + nats([0.0, 3.0, 0.0], 1) + nats([0.0, 0.0, 2.0], 2);
        assert!((measures.get("loss_nats").unwrap() - want / 4.0).abs() < 1e-9);
        assert_eq!(measures.values[0].0, "accuracy");
    }

    #[test]
    fn a_regression_is_measured_in_the_units_of_the_data() {
        let evaluator = Evaluator::Values { std: vec![10.0] };
        let predictions = [([1.0], [0.5]), ([0.0], [-0.5])];
        let predictions: Vec<([f32; 1], [f32; 1])> = predictions.to_vec();
        let pairs = predictions.iter().map(|(y, t)| Predicted { outputs: y, truth: Truth::Values(t) });
        let measures = evaluator.evaluate(pairs);
        assert_eq!(measures.get("rmse"), Some(5.0));
        assert_eq!(measures.get("mae"), Some(5.0));
        assert_eq!(measures.get("r2"), Some(0.0));
    }

    #[test]
    fn the_r2_of_equal_targets_is_left_out_of_an_evaluation_and_said() {
        let evaluator = Evaluator::Values { std: vec![10.0] };
        let truth = [0.5f32];
        let predicted = [Predicted { outputs: &[1.0], truth: Truth::Values(&truth) }];
        let evaluation = evaluator.evaluation(&predicted, &[]);
        assert!(evaluation.measures.iter().all(|measure| measure.name != "r2" && measure.value.is_finite()));
        assert_eq!(evaluation.notes, ["r2 is undefined for these examples and left out"]);
    }
}
