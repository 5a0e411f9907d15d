//! A trained model of any task that gives labels or numbers, and its measures on data.

use std::path::Path;

use super::judge::{Judge, Judgement, Truth, best, probabilities};
use super::settings::Settings;
use super::supervised::{Examples, judgement};
use super::{classify, classify_frames, classify_sequence, classify_text};
use crate::error::{Error, Result};
use crate::format::model::Loaded;
use crate::metric::ranking::{self, CurvePoint};
use crate::param::Params;
use crate::shape::Answers;

/// Characters of a text shown among the mistakes.
const SHOWN: usize = 160;

/// A model.
#[derive(Debug)]
pub enum Classifier {
    /// Pictures or rows.
    Fixed(classify::Model),
    /// Texts.
    Text(classify_text::Model),
    /// Series.
    Sequence(classify_sequence::Model),
    /// Frames or steps.
    Frames(classify_frames::Model),
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The measures.
    pub judgement: Judgement,
    /// The classes; none of a regression.
    pub labels: Vec<String>,
    /// Examples measured on.
    pub examples: usize,
    /// The worst mistakes: of single answers the most confident, of sequences those with the most wrong steps.
    pub mistakes: Vec<Mistake>,
    /// Of two classes: the points of the curves of the second one, over all answers (of sequences, all steps); none where
    /// the data are of one class only.
    pub curve: Option<Vec<CurvePoint>>,
}

/// A wrong answer.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// Which example: its line, number or name.
    pub example: String,
    /// What is right.
    pub truth: String,
    /// What was answered.
    pub answer: String,
    /// The answer's probability; of a sequence, the share of wrong steps.
    pub degree: f64,
}

impl Classifier {
    /// Reads a model or a checkpoint; none if it is of another kind of task.
    ///
    /// # Errors
    /// [`Error::Model`] if the file contradicts itself.
    pub fn from_file(loaded: &Loaded) -> Result<Option<Classifier>> {
        let task = loaded.document.config()["task"].as_str().unwrap_or_default();
        Ok(Some(match task {
            classify::CLASSIFY | classify::REGRESS => Classifier::Fixed(classify::Model::from_file(loaded)?),
            classify_text::NAME => Classifier::Text(classify_text::Model::from_file(loaded)?),
            classify_sequence::NAME => Classifier::Sequence(classify_sequence::Model::from_file(loaded)?),
            classify_frames::NAME => Classifier::Frames(classify_frames::Model::from_file(loaded)?),
            _ => return Ok(None),
        }))
    }

    /// The classes; none of a regression.
    pub fn labels(&self) -> &[String] {
        match self {
            Classifier::Fixed(classify::Model { goal: classify::Goal::Classes(labels), .. }) => labels.names(),
            Classifier::Fixed(_) => &[],
            Classifier::Text(m) => m.labels.names(),
            Classifier::Sequence(m) => m.labels.names(),
            Classifier::Frames(m) => m.labels.names(),
        }
    }

    /// Measures it on data: the part `split` of them, where they have parts. The settings name columns. Runs on the
    /// current thread pool.
    ///
    /// # Errors
    /// What the readers meet.
    pub fn evaluate(&self, path: &Path, settings: &Settings, split: &str, mistakes: usize) -> Result<Evaluation> {
        let one_piece = |split: &str| match split {
            "" | "all" => Ok(()),
            _ => Err(Error::Usage(format!("--split {split}: {} comes in one piece", path.display()))),
        };
        match self {
            Classifier::Fixed(m) => {
                let inputs = m.read(path, settings, split)?;
                let labels = self.labels();
                let name = |i: usize| format!("example {}", i + 1);
                Ok(evaluation(&m.network, &m.params, &inputs, &m.judge(), labels, name, mistakes))
            }
            Classifier::Text(m) => {
                one_piece(split)?;
                let mut settings = settings.clone();
                let trained = |key: &str| m.columns[key].as_str().unwrap_or_default().to_string();
                for (column, key) in [(&mut settings.text_column, "text"), (&mut settings.label_column, "label")] {
                    if column.is_empty() {
                        *column = trained(key);
                    }
                }
                let (rows, texts) = m.read(path, &settings)?;
                let judge = Judge::Classes { classes: m.labels.len(), temperature: m.temperature };
                let name = |i: usize| {
                    let text: String = rows[i].text.chars().take(SHOWN).collect();
                    format!("line {}: {text}", rows[i].line)
                };
                Ok(evaluation(&m.network, &m.params, &texts, &judge, m.labels.names(), name, mistakes))
            }
            Classifier::Sequence(m) => {
                let series = m.read(path, settings, split)?;
                let judge = Judge::Classes { classes: m.labels.len(), temperature: m.temperature };
                let name = |i: usize| format!("series {}", i + 1);
                Ok(evaluation(&m.network, &m.params, &series, &judge, m.labels.names(), name, mistakes))
            }
            Classifier::Frames(m) => {
                let sequences = m.read(path, settings, split)?;
                let name = |i: usize| sequences.ids()[i].clone();
                Ok(evaluation(&m.network, &m.params, &sequences, &m.judge(), m.labels.names(), name, mistakes))
            }
        }
    }
}

fn evaluation<S: Answers, E: Examples<S>>(
    network: &S,
    params: &Params<f32>,
    examples: &E,
    judge: &Judge,
    labels: &[String],
    name: impl Fn(usize) -> String,
    mistakes: usize,
) -> Evaluation {
    let (judgement, outputs) = judgement(network, params, examples, judge);
    let mut worst: Vec<(f64, usize)> = Vec::new();
    let mut p = Vec::new();
    for (i, outputs) in outputs.iter().enumerate() {
        let Truth::Classes(truth) = examples.truth(i) else { continue };
        let steps = outputs.chunks_exact(labels.len()).zip(truth);
        let wrong = steps.clone().filter(|(logits, target)| best(logits) != **target as usize).count();
        if wrong == 0 {
            continue;
        }
        let degree = match (truth, judge) {
            ([_], Judge::Classes { temperature, .. }) => {
                probabilities(outputs, *temperature, &mut p);
                p[best(outputs)]
            }
            _ => wrong as f64 / truth.len() as f64,
        };
        worst.push((degree, i));
    }
    worst.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mistake = |&(degree, i): &(f64, usize)| {
        let steps = outputs[i].chunks_exact(labels.len()).map(best);
        let answer: Vec<&str> = runs(steps).map(|class| labels[class].as_str()).collect();
        let truth = runs(examples.truth(i).classes().iter().map(|&class| class as usize));
        let truth: Vec<&str> = truth.map(|class| labels[class].as_str()).collect();
        Mistake { example: name(i), truth: truth.join(" "), answer: answer.join(" "), degree }
    };
    let mistakes = worst.iter().take(mistakes).map(mistake).collect();
    let curve = curve(&outputs, examples, judge, labels.len());
    Evaluation { judgement, labels: labels.to_vec(), examples: outputs.len(), mistakes, curve }
}

/// The points of the curves of the second of two classes.
fn curve<S: Answers, E: Examples<S>>(
    outputs: &[Vec<f32>],
    examples: &E,
    judge: &Judge,
    classes: usize,
) -> Option<Vec<CurvePoint>> {
    let (Judge::Classes { temperature, .. } | Judge::Frames { temperature, .. }) = judge else { return None };
    if classes != 2 {
        return None;
    }
    let (mut scores, mut truths, mut p) = (Vec::new(), Vec::new(), Vec::new());
    for (i, outputs) in outputs.iter().enumerate() {
        for (logits, &target) in outputs.chunks_exact(classes).zip(examples.truth(i).classes()) {
            probabilities(logits, *temperature, &mut p);
            scores.push(p[1]);
            truths.push(target == 1);
        }
    }
    ranking::curve(&scores, &truths)
}

/// Each value that differs from the one before.
fn runs(values: impl Iterator<Item = usize>) -> impl Iterator<Item = usize> {
    let mut before = None;
    values.filter(move |&value| before.replace(value) != Some(value))
}
