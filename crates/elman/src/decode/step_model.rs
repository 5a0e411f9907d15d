//! The model interface of a search.

use elman_kernels::softmax;

/// A model as seen by a search.
pub trait StepModel {
    /// `V`.
    fn vocab(&self) -> usize;

    /// Feeds `tokens[i]` to a copy of the state of row `from[i]` of the last step (at the first step: of sequence
    /// `from[i]`) and puts the next-token distributions into `likely`. Rows are grouped by sequence, in order.
    fn step(&mut self, from: &[usize], tokens: &[u32], likely: &mut Likely);

    /// Attention weights of a row of the last step over its source; empty without attention.
    fn attention(&self, row: usize) -> &[f32] {
        let _ = row;
        &[]
    }
}

/// Next-token distributions. A search considers few tokens of a row and takes the logarithms of these alone.
#[derive(Clone, Debug, PartialEq)]
pub enum Likely {
    /// Logits `[rows, V]`, and `ln sum e^logit` of each row.
    Logits(Vec<f32>, Vec<f32>),
    /// Probabilities `[rows, V]`.
    Probabilities(Vec<f32>),
}

impl Default for Likely {
    fn default() -> Self {
        Likely::Logits(Vec::new(), Vec::new())
    }
}

impl Likely {
    /// Its buffers, to be reused for the next step.
    pub fn into_buffers(self) -> (Vec<f32>, Vec<f32>) {
        match self {
            Likely::Logits(logits, log_sums) => (logits, log_sums),
            Likely::Probabilities(values) => (values, Vec::new()),
        }
    }

    /// As probabilities `[rows, V]`, in place.
    pub(super) fn probabilities(self, vocab: usize) -> Vec<f32> {
        match self {
            Likely::Logits(mut values, _) => {
                values.chunks_exact_mut(vocab.max(1)).for_each(softmax::softmax);
                values
            }
            Likely::Probabilities(values) => values,
        }
    }

    /// The values by which a row's tokens are ranked.
    pub(super) fn row(&self, row: usize, vocab: usize) -> &[f32] {
        let (Likely::Logits(values, _) | Likely::Probabilities(values)) = self;
        &values[row * vocab..(row + 1) * vocab]
    }

    /// The log-probability of a token, from its value in a row.
    pub(super) fn log_prob(&self, row: usize, value: f32) -> f64 {
        f64::from(match self {
            Likely::Logits(_, log_sums) => value - log_sums[row],
            Likely::Probabilities(_) => value.ln(),
        })
    }

    /// Whether these are finite values for `rows` rows.
    pub(super) fn are_numbers(&self, rows: usize, vocab: usize) -> bool {
        match self {
            // A sum is finite only if all its terms are.
            Likely::Logits(logits, log_sums) => {
                (logits.len(), log_sums.len()) == (rows * vocab, rows) && !log_sums.iter().any(|x| x.is_nan())
            }
            Likely::Probabilities(p) => {
                p.len() == rows * vocab && p.chunks_exact(vocab.max(1)).all(|p| !p.iter().sum::<f32>().is_nan())
            }
        }
    }
}
