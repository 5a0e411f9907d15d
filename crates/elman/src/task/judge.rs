//! Answers against truths: the measures of classification, of frames, of regression.

use serde_json::{Value, json};

use crate::metric::{Confusion, SegmentScores, calibration, ranking, segments};
use crate::train::Scores;

/// Bins of the calibration error.
const BINS: usize = 15;

/// The right answer to an example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth<'a> {
    /// A class for each step `[T]`, or one.
    Classes(&'a [u32]),
    /// Numbers `[V]`.
    Values(&'a [f32]),
}

impl<'a> Truth<'a> {
    /// The classes; none of numbers.
    pub fn classes(self) -> &'a [u32] {
        match self {
            Truth::Classes(classes) => classes,
            Truth::Values(_) => &[],
        }
    }
}

/// What a network said to an example.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// Logits `[T, V]`, or numbers `[V]`.
    pub outputs: &'a [f32],
    /// What is right.
    pub truth: Truth<'a>,
}

/// How answers are judged.
#[derive(Clone, Debug)]
pub enum Judge {
    /// One class an example.
    Classes {
        /// `V`.
        classes: usize,
        /// What logits are divided by.
        temperature: f64,
    },
    /// A class at every step.
    Frames {
        /// `V`.
        classes: usize,
        /// The class that means nothing is there.
        background: Option<u32>,
        /// What logits are divided by.
        temperature: f64,
    },
    /// Numbers, whose scale is that of the data: `value * deviation + mean`.
    Values {
        /// The deviation of each number.
        deviation: Vec<f64>,
    },
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Measures by name, the one that chooses a model first.
    pub values: Vec<(&'static str, f64)>,
    /// Whether the first is better when it is higher.
    pub higher_is_better: bool,
    /// Truths against answers, of classes.
    pub confusion: Option<Confusion>,
}

impl Judgement {
    /// As the training loop takes it.
    pub fn scores(&self) -> Scores {
        let values = self.values.iter().map(|(name, value)| (format!("val_{}", short(name)), *value)).collect();
        Scores { values, higher_is_better: self.higher_is_better }
    }

    /// A measure by name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// The measures as an object.
    pub fn as_json(&self) -> Value {
        let mut object = json!({});
        for (name, value) in &self.values {
            object[*name] = if value.is_finite() { json!(value) } else { Value::Null };
        }
        object
    }
}

/// `loss_nats` is `val_nats` in the records of every task.
fn short(name: &str) -> &str {
    name.strip_prefix("loss_").unwrap_or(name)
}

/// Probabilities of logits divided by a temperature, into `out`.
pub fn probabilities(logits: &[f32], temperature: f64, out: &mut Vec<f64>) {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    out.clear();
    out.extend(logits.iter().map(|&z| (f64::from(z - highest) / temperature).exp()));
    let sum: f64 = out.iter().sum();
    out.iter_mut().for_each(|p| *p /= sum);
}

/// The largest of some values, the first of equals.
pub fn best(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

impl Judge {
    /// Judges answers.
    pub fn judge<'a>(&self, answers: impl Iterator<Item = Answer<'a>>) -> Judgement {
        match self {
            Judge::Classes { classes, temperature } => Steps::new(*classes, *temperature, None).judge(answers, false),
            Judge::Frames { classes, background, temperature } => {
                Steps::new(*classes, *temperature, *background).judge(answers, true)
            }
            Judge::Values { deviation } => values(answers, deviation),
        }
    }
}

/// Counts over single steps.
struct Steps {
    classes: usize,
    temperature: f64,
    confusion: Confusion,
    nats: f64,
    confidence: Vec<f64>,
    correct: Vec<bool>,
    /// Of two classes: the probability of the second, and whether it is right.
    second: (Vec<f64>, Vec<bool>),
    frames: SegmentScores,
    background: Option<u32>,
    /// True segments whose class has the highest summed log-probability within them, of all.
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

    fn judge<'a>(mut self, answers: impl Iterator<Item = Answer<'a>>, is_frames: bool) -> Judgement {
        for answer in answers {
            self.add(answer, is_frames);
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
        Judgement { values, higher_is_better: true, confusion: Some(self.confusion) }
    }

    fn add(&mut self, answer: Answer, is_frames: bool) {
        let truth = answer.truth.classes();
        let mut p = Vec::new();
        let mut predicted = Vec::with_capacity(truth.len());
        let mut log_p = Vec::with_capacity(answer.outputs.len());
        for (logits, &target) in answer.outputs.chunks_exact(self.classes).zip(truth) {
            probabilities(logits, self.temperature, &mut p);
            let class = best(logits);
            predicted.push(class as u32);
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
            self.frames.add(truth, &predicted);
            for segment in segments::segments(truth, self.background) {
                let sum = |class: usize| segment.frames.clone().map(|t| log_p[t * self.classes + class]).sum::<f64>();
                let classes = (0..self.classes).filter(|&class| self.background != Some(class as u32));
                let sums = classes.map(|class| (class as u32, sum(class)));
                let found = sums.max_by(|a, b| a.1.total_cmp(&b.1)).is_some_and(|(class, _)| class == segment.label);
                self.found = [self.found[0] + u64::from(found), self.found[1] + 1];
            }
        }
    }
}

/// Measures of a regression, in the units of the data.
fn values<'a>(answers: impl Iterator<Item = Answer<'a>>, deviation: &[f64]) -> Judgement {
    let mut pairs: Vec<(f64, f64)> = Vec::new();
    let mut half_squares = 0.0;
    let mut examples = 0usize;
    for answer in answers {
        let Truth::Values(truth) = answer.truth else { continue };
        examples += 1;
        for ((&y, &target), &deviation) in answer.outputs.iter().zip(truth).zip(deviation) {
            let error = f64::from(y) - f64::from(target);
            half_squares += 0.5 * error * error;
            pairs.push((error * deviation, f64::from(target) * deviation));
        }
    }
    let n = pairs.len().max(1) as f64;
    let squares: f64 = pairs.iter().map(|(error, _)| error * error).sum();
    let mean = pairs.iter().map(|(_, target)| target).sum::<f64>() / n;
    let spread: f64 = pairs.iter().map(|(_, target)| (target - mean) * (target - mean)).sum();
    let values = vec![
        ("loss_nats", half_squares / examples.max(1) as f64),
        ("rmse", (squares / n).sqrt()),
        ("mae", pairs.iter().map(|(error, _)| error.abs()).sum::<f64>() / n),
        ("r2", 1.0 - squares / spread.max(f64::MIN_POSITIVE)),
    ];
    Judgement { values, higher_is_better: false, confusion: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_of_answers_is_measured_as_the_definitions_say() {
        let judge = Judge::Frames { classes: 3, background: Some(0), temperature: 1.0 };
        // Truth 0 1 1 2; the second step is taken for 2, but over both steps 1 has the higher sum.
        let outputs = [5.0, 0.0, 0.0, 0.0, 1.0, 1.5, 0.0, 3.0, 0.0, 0.0, 0.0, 2.0];
        let answer = Answer { outputs: &outputs, truth: Truth::Classes(&[0, 1, 1, 2]) };
        let judgement = judge.judge([answer].into_iter());
        assert_eq!(judgement.get("accuracy"), Some(0.75));
        assert_eq!(judgement.get("foreground_accuracy"), Some(2.0 / 3.0));
        assert_eq!(judgement.get("segment_accuracy"), Some(1.0));
        let nats = |z: [f64; 3], target: usize| z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[target];
        let want =
            nats([5.0, 0.0, 0.0], 0) + nats([0.0, 1.0, 1.5], 1) + nats([0.0, 3.0, 0.0], 1) + nats([0.0, 0.0, 2.0], 2);
        assert!((judgement.get("loss_nats").unwrap() - want / 4.0).abs() < 1e-9);
        assert_eq!(judgement.scores().values[0].0, "val_accuracy");
        assert!(judgement.scores().values.iter().any(|(name, _)| name == "val_nats"));
    }

    #[test]
    fn a_regression_is_measured_in_the_units_of_the_data() {
        let judge = Judge::Values { deviation: vec![10.0] };
        let answers = [([1.0], [0.5]), ([0.0], [-0.5])];
        let answers: Vec<([f32; 1], [f32; 1])> = answers.to_vec();
        let pairs = answers.iter().map(|(y, t)| Answer { outputs: y, truth: Truth::Values(t) });
        let judgement = judge.judge(pairs);
        assert_eq!(judgement.get("rmse"), Some(5.0));
        assert_eq!(judgement.get("mae"), Some(5.0));
        assert_eq!(judgement.get("r2"), Some(0.0));
    }
}
