//! Labelled texts, and texts as a network reads them.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::path::Path;

use crate::cell::Steps;
use crate::data::naive_bayes::NaiveBayes;
use crate::data::texts::LabelledText;
use crate::data::words::{UNKNOWN, Words};
use crate::data::{At, Labels};
use crate::error::Result;
use crate::metric::{Shown, Truth};
use crate::rng::Rng;
use crate::shape::{Inputs, SequenceInput, SequenceInputBatch as Batch, Targets};
use crate::task::supervised::Examples;

/// Texts in tokens.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    pub(super) tokens: Vec<Vec<u32>>,
    pub(super) labels: Targets<f32>,
    /// The evidence of naive Bayes for each text `[texts, X]`.
    evidence: Vec<f32>,
    word_dropout: f64,
    /// The texts themselves, where they are shown.
    texts: Vec<String>,
}

impl Texts {
    /// Encodes texts.
    ///
    /// # Errors
    /// [`Error::Data`] with the line of a label that is none of the classes, or of a text without a word.
    pub(super) fn new(
        rows: &[LabelledText],
        words: &Words,
        (labels, has_several): (&Labels, bool),
        word_dropout: f64,
        path: &Path,
    ) -> Result<Texts> {
        let index = |label: &str, row: &LabelledText| labels.index(label, path, At::Line(row.line));
        let several = |row: &LabelledText| {
            let held = row.labels.iter().map(|label| index(label, row)).collect::<Result<BTreeSet<u32>>>()?;
            Ok(held.into_iter().collect())
        };
        let labels = match has_several {
            true => Targets::Labels(rows.iter().map(several).collect::<Result<_>>()?),
            false => Targets::Classes(rows.iter().map(|row| index(&row.label, row)).collect::<Result<_>>()?),
        };
        let tokens = rows.iter().map(|row| encode(words, &row.text)).collect();
        Ok(Texts { labels, word_dropout, ..Texts::of_tokens(tokens) })
    }

    /// The class of each text; none of texts with several labels.
    pub(super) fn classes(&self) -> Vec<[u32; 1]> {
        match &self.labels {
            Targets::Classes(classes) => classes.iter().map(|&class| [class]).collect(),
            _ => Vec::new(),
        }
    }

    /// Keeps the texts, to be shown.
    pub(super) fn with_texts(mut self, rows: &[LabelledText]) -> Texts {
        self.texts = rows.iter().map(|row| row.text.clone()).collect();
        self
    }

    /// Token sequences without labels.
    pub(super) fn of_tokens(tokens: Vec<Vec<u32>>) -> Texts {
        let labels = Targets::Classes(vec![0; tokens.len()]);
        Texts { tokens, labels, evidence: Vec::new(), word_dropout: 0.0, texts: Vec::new() }
    }

    /// Adds the evidence of naive Bayes for each text; of a text that is `counted`, by the other texts.
    pub(super) fn with_evidence(mut self, bayes: Option<&NaiveBayes>, counted: bool) -> Texts {
        if let Some(bayes) = bayes {
            let classes = self.classes();
            let texts = self.tokens.iter().zip(&classes);
            self.evidence =
                texts.flat_map(|(tokens, &[class])| bayes.evidence(tokens, counted.then_some(class))).collect();
        }
        self
    }
}

/// The tokens of a text; a text without any, such as `...` in a vocabulary of letters, is one unknown token.
pub(super) fn encode(words: &Words, text: &str) -> Vec<u32> {
    let tokens = words.encode(text);
    if tokens.is_empty() { vec![UNKNOWN] } else { tokens }
}

impl Examples<SequenceInput> for Texts {
    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn joined(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.tokens.extend_from_slice(&others.tokens);
        all.labels.join(&others.labels);
        all.evidence.extend_from_slice(&others.evidence);
        all
    }

    fn steps(&self, example: usize) -> usize {
        self.tokens[example].len()
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        self.labels.truth(example)
    }

    fn batch(&self, examples: &[usize], vary: Option<&mut Rng>, _: Option<Batch<f32>>) -> Batch<f32> {
        let lengths: Vec<usize> = examples.iter().map(|&i| self.tokens[i].len()).collect();
        let steps = Steps::ragged(&lengths).unwrap_or_else(|_| Steps::equal(0, 0));
        let mut inputs = Vec::with_capacity(steps.rows());
        for t in 0..steps.len() {
            inputs.extend(examples[..steps.active(t)].iter().map(|&i| self.tokens[i][t]));
        }
        if let Some(rng) = vary.filter(|_| self.word_dropout > 0.0) {
            for token in &mut inputs {
                if rng.uniform() < self.word_dropout {
                    *token = UNKNOWN;
                }
            }
        }
        let width = self.evidence.len() / self.len().max(1);
        let extra = examples.iter().flat_map(|&i| &self.evidence[i * width..(i + 1) * width]).copied().collect();
        Batch { steps, inputs: Inputs::Tokens(inputs), extra, targets: self.labels.of(examples) }
    }

    fn shown(&self, example: usize) -> Shown {
        self.texts.get(example).map_or_else(|| Shown::Text(format!("text {}", example + 1)), |text| Shown::text(text))
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.tokens[example].iter().for_each(|token| hasher.write(&token.to_le_bytes()));
    }
}
