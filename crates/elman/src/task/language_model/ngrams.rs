//! What counting reaches: n-gram models, to hold a network's loss against.

use std::collections::HashMap;

use elman_kernels::softmax;

/// Contexts that are counted at most: a long text's first part is counted.
const LIMIT: usize = 1 << 20;

/// Nats per token of a held-out text under n-gram models of order 1 to `orders`, counted on `train`: interpolated, with the
/// weights of Witten & Bell (1991). Tokens are below `vocab`.
///
/// ```
/// use elman::task::language_model::ngrams;
///
/// let text: Vec<u32> = (0..300).map(|i| i % 3).collect();
/// let nats = ngrams::nats(&text, &text[..90], 3, 2);
/// assert!((nats[0] - 3f64.ln()).abs() < 0.02, "single tokens tell nothing");
/// assert!(nats[1] < 0.1, "each follows from the one before");
/// ```
pub fn nats(train: &[u32], held_out: &[u32], vocab: usize, orders: usize) -> Vec<f64> {
    let train = &train[..train.len().min(LIMIT)];
    // Of each context its tokens and their counts; a context is the hash of a few tokens, exact for small alphabets.
    let mut counts: Vec<HashMap<u64, HashMap<u32, u32>>> = vec![HashMap::new(); orders];
    for (order, counts) in counts.iter_mut().enumerate() {
        for window in train.windows(order + 1) {
            let (context, token) = (key(&window[..order]), window[order]);
            *counts.entry(context).or_default().entry(token).or_default() += 1;
        }
    }
    // Totals once, as each is asked for often.
    let totals: Vec<HashMap<u64, f64>> = counts
        .iter()
        .map(|of| of.iter().map(|(context, next)| (*context, next.values().map(|&n| f64::from(n)).sum())).collect())
        .collect();
    let mut sums = vec![0.0; orders];
    let first = orders.saturating_sub(1).min(held_out.len());
    for at in first..held_out.len() {
        let mut p = 1.0 / vocab.max(1) as f64;
        for order in 0..orders {
            let context = key(&held_out[at - order..at]);
            if let (Some(next), Some(total)) = (counts[order].get(&context), totals[order].get(&context)) {
                let kinds = next.len() as f64;
                let count = next.get(&held_out[at]).copied().map_or(0.0, f64::from);
                p = (count + kinds * p) / (total + kinds);
            }
            sums[order] -= p.ln();
        }
    }
    let scored = (held_out.len() - first).max(1) as f64;
    sums.into_iter().map(|sum| sum / scored).collect()
}

fn key(context: &[u32]) -> u64 {
    // Tokens below `IGNORE`, so that no context is that of a shorter one.
    context.iter().fold(u64::from(softmax::IGNORE), |key, &token| {
        (key ^ u64::from(token)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_tokens_reach_the_entropy_and_probabilities_add_to_one() {
        let train: Vec<u32> = (0..4000).map(|i| u32::from(i % 4 == 0)).collect();
        let nats = nats(&train, &train, 2, 3);
        let entropy = -(0.25f64 * 0.25f64.ln() + 0.75 * 0.75f64.ln());
        assert!((nats[0] - entropy).abs() < 2e-3, "{nats:?}");
        assert!(nats.is_sorted_by(|a, b| a > b), "{nats:?}");
        // Of one token after another, over all that may follow.
        let all: f64 = (0..2).map(|next| (-self::nats(&train, &[1, next], 2, 2)[1]).exp()).sum();
        assert!((all - 1.0).abs() < 1e-9, "{all}");
    }
}
