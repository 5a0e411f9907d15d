//! LabelledText texts, and texts as a network reads them.

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
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    pub(super) tokens: Vec<Vec<u32>>,
    pub(super) labels: Vec<[u32; 1]>,
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
        labels: &Labels,
        word_dropout: f64,
        path: &Path,
    ) -> Result<Texts> {
        let mut texts = Texts { word_dropout, ..Texts::default() };
        for row in rows {
            texts.labels.push([labels.index(&row.label, path, At::Line(row.line))?]);
            texts.tokens.push(encode(words, &row.text));
        }
        Ok(texts)
    }

    /// Keeps the texts, to be shown.
    pub(super) fn with_texts(mut self, rows: &[LabelledText]) -> Texts {
        self.texts = rows.iter().map(|row| row.text.clone()).collect();
        self
    }

    /// Token sequences without labels.
    pub(super) fn of_tokens(tokens: Vec<Vec<u32>>) -> Texts {
        Texts { labels: vec![[0]; tokens.len()], tokens, ..Texts::default() }
    }

    /// Adds the evidence of naive Bayes for each text; of a text that is `counted`, by the other texts.
    pub(super) fn with_evidence(mut self, bayes: Option<&NaiveBayes>, counted: bool) -> Texts {
        if let Some(bayes) = bayes {
            let texts = self.tokens.iter().zip(&self.labels);
            self.evidence =
                texts.flat_map(|(tokens, &[label])| bayes.evidence(tokens, counted.then_some(label))).collect();
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
        all.labels.extend_from_slice(&others.labels);
        all.evidence.extend_from_slice(&others.evidence);
        all
    }

    fn steps(&self, example: usize) -> usize {
        self.tokens[example].len()
    }

    fn truth(&self, example: usize) -> Truth<'_> {
        Truth::Classes(&self.labels[example])
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
        let targets = Targets::Classes(examples.iter().map(|&i| self.labels[i][0]).collect());
        Batch { steps, inputs: Inputs::Tokens(inputs), extra, targets }
    }

    fn shown(&self, example: usize) -> Shown {
        self.texts.get(example).map_or_else(|| Shown::Text(format!("text {}", example + 1)), |text| Shown::text(text))
    }

    fn hash(&self, example: usize, hasher: &mut dyn Hasher) {
        self.tokens[example].iter().for_each(|token| hasher.write(&token.to_le_bytes()));
    }
}
