//! Splits a data set into training and validation examples.

use std::path::Path;

use crate::error::{Error, Result};
use crate::rng::Rng;

/// Which examples form the validation set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HoldOut {
    /// Seed of the shuffle.
    pub seed: u64,
    /// Share of the examples, without cross-validation.
    pub share: f64,
    /// Folds of the cross-validation, one of which is the validation set; 0 for none.
    pub folds: usize,
    /// The fold, from 1.
    pub fold: usize,
}

/// Shuffles and splits into training and validation examples.
///
/// # Errors
/// [`Error::Data`] if either would be empty; the message names `path`.
pub fn train_val_split<T>(examples: Vec<T>, split: &HoldOut, path: &Path) -> Result<(Vec<T>, Vec<T>)> {
    let n = examples.len();
    let mut order: Vec<usize> = (0..n).collect();
    Rng::new(split.seed, "split").shuffle(&mut order);
    let held = match split.folds {
        0 => 0..((split.share * n as f64).round() as usize).clamp(usize::from(n > 1), n),
        folds => (split.fold.max(1) - 1) * n / folds..split.fold.max(1) * n / folds,
    };
    if held.is_empty() || held.len() == n {
        let reason = format!(
            "{n} examples are too few to split off a validation set; add examples, or set `val` to a validation file"
        );
        return Err(Error::Data { path: path.into(), reason });
    }
    let mut is_held = vec![false; n];
    order[held].iter().for_each(|&i| is_held[i] = true);
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (example, held) in examples.into_iter().zip(is_held) {
        if held { val.push(example) } else { train.push(example) }
    }
    Ok((train, val))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_hold_out_each_example_once_and_a_share_is_drawn_by_the_seed() {
        let path = Path::new("x");
        let mut seen = Vec::new();
        for fold in 1..=3 {
            let split = HoldOut { seed: 1, share: 0.1, folds: 3, fold };
            let (train, val) = train_val_split((0..10).collect(), &split, path).unwrap();
            assert_eq!(train.len() + val.len(), 10);
            seen.extend(val);
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..10));
        let share = |seed| {
            train_val_split((0..100).collect(), &HoldOut { seed, share: 0.2, folds: 0, fold: 0 }, path).unwrap().1
        };
        assert_eq!(share(1).len(), 20);
        assert_eq!(share(1), share(1));
        assert_ne!(share(1), share(2));
        assert!(train_val_split(vec![1], &HoldOut { seed: 1, share: 0.5, folds: 0, fold: 0 }, path).is_err());
    }
}
