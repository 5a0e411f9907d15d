//! Splits a data set into training and validation examples.

use std::collections::BTreeMap;
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

impl HoldOut {
    /// Where a single sequence of `steps` steps is cut: its end is held out.
    pub(crate) fn cut(&self, steps: usize) -> usize {
        let held = ((self.share * steps as f64).round() as usize).clamp(1, steps.max(2) - 1);
        steps - held.min(steps)
    }
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
    let mut is_held = vec![false; n];
    order[held].iter().for_each(|&i| is_held[i] = true);
    divide(examples, &is_held, path)
}

/// Training examples and those that are held out.
fn divide<T>(examples: Vec<T>, is_held: &[bool], path: &Path) -> Result<(Vec<T>, Vec<T>)> {
    let (n, held) = (examples.len(), is_held.iter().filter(|held| **held).count());
    if held == 0 || held == n {
        let reason = format!(
            "{n} examples are too few to split off a validation set; add examples, or set `val` to a validation file"
        );
        return Err(Error::Data { path: path.into(), reason });
    }
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (example, held) in examples.into_iter().zip(is_held) {
        if *held { val.push(example) } else { train.push(example) }
    }
    Ok((train, val))
}

/// As [`train_val_split`], of each class in proportion; a class's only example stays in training.
///
/// # Errors
/// As [`train_val_split`].
pub fn stratified_split<T>(
    examples: Vec<T>,
    class: fn(&T) -> &str,
    split: &HoldOut,
    path: &Path,
) -> Result<(Vec<T>, Vec<T>)> {
    let n = examples.len();
    let mut order: Vec<usize> = (0..n).collect();
    Rng::new(split.seed, "split").shuffle(&mut order);
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    order.iter().for_each(|&i| classes.entry(class(&examples[i])).or_default().push(i));
    // Class after class, so that every stretch of the line holds each in proportion.
    let line: Vec<usize> = classes.into_values().filter(|of| of.len() > 1).flatten().collect();
    let wanted = ((split.share * n as f64).round() as usize).clamp(1, line.len().max(1));
    let is_held = |place: usize| match split.folds {
        // Every `1 / share`th, as evenly as whole numbers allow.
        0 => (place + 1) * wanted / line.len().max(1) > place * wanted / line.len().max(1),
        folds => place % folds == split.fold.max(1) - 1,
    };
    if line.is_empty() && n > 1 {
        let reason = format!(
            "each of its {n} rows has a label of its own: nothing can be learned of a class from a single example; name another \
             label column, or predict numbers"
        );
        return Err(Error::Data { path: path.into(), reason });
    }
    let mut held = vec![false; n];
    let mut left: BTreeMap<&str, usize> = BTreeMap::new();
    examples.iter().for_each(|example| *left.entry(class(example)).or_default() += 1);
    for (_, &i) in line.iter().enumerate().filter(|(place, _)| is_held(*place)) {
        // One of each class is left to be learned.
        if let Some(left) = left.get_mut(class(&examples[i])).filter(|left| **left > 1) {
            (held[i], *left) = (true, *left - 1);
        }
    }
    divide(examples, &held, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_is_held_out_in_proportion_and_a_single_example_never() {
        let path = Path::new("x");
        // 80 of a, 20 of b, one c.
        let rows: Vec<String> =
            (0..101).map(|i| if i == 50 { "c" } else { ["a", "b"][usize::from(i % 5 == 4)] }.into()).collect();
        let count = |of: &[String], class: &str| of.iter().filter(|row| *row == class).count();
        for seed in 1..=5 {
            let split = HoldOut { seed, share: 0.2, folds: 0, fold: 0 };
            let (train, val) = stratified_split(rows.clone(), |row| row, &split, path).unwrap();
            assert_eq!((train.len(), val.len()), (81, 20));
            assert!((15..=17).contains(&count(&val, "a")) && count(&val, "c") == 0, "{val:?}");
            let mut held = Vec::new();
            for fold in 1..=5 {
                let split = HoldOut { seed, share: 0.2, folds: 5, fold };
                let numbered: Vec<(usize, String)> = rows.iter().cloned().enumerate().collect();
                let (_, val) = stratified_split(numbered, |(_, row)| row, &split, path).unwrap();
                let b = val.iter().filter(|(_, row)| row == "b").count();
                assert!((3..=5).contains(&b), "{b}");
                held.extend(val.into_iter().map(|(i, _)| i));
            }
            held.sort_unstable();
            assert!(held.into_iter().eq((0..101).filter(|i| *i != 50)));
        }
        assert!(
            stratified_split(
                vec![String::from("a")],
                |row| row,
                &HoldOut { seed: 1, share: 0.1, folds: 0, fold: 0 },
                path
            )
            .is_err()
        );
    }

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
