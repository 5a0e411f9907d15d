//! Advice after a run, computed from its records.

use super::Record;

/// A validation loss above the training loss by this share is overfitting; a smaller gap is noise between two texts.
const GAP: f64 = 0.15;
/// A best validation before this share of the run: the rest did not help.
const EARLY: f64 = 0.7;
/// Still falling: the last fifth of the run lowered the validation loss by more than this share.
const FALLING: f64 = 0.01;
/// Weights that a text can teach, for each square root of a token: 13,500 characters of Shakespeare are learned best with
/// some 100,000, 90,000 with 300,000, a million with a million.
const WEIGHTS_PER_ROOT: f64 = 1000.0;
/// A network of more than this many times what its text can teach learns it by heart.
const LARGE: f64 = 3.0;
/// A network of less than this share of what its text can teach is too small, if it had the time.
const SMALL: f64 = 0.2;

/// Weights of the recurrent layers of a language model that a text of so many tokens can teach.
pub fn teachable(tokens: usize) -> f64 {
    WEIGHTS_PER_ROOT * (tokens as f64).sqrt()
}

/// Two or three sentences on a run: `parameters` of the network, training `tokens`, `rollbacks` after divergence,
/// `metric` the name of the validation loss. Empty if the run is too short.
pub fn advice(records: &[Record], metric: &str, parameters: usize, tokens: usize, rollbacks: u32) -> Vec<String> {
    let mut said = Vec::new();
    if rollbacks > 0 {
        said.push(format!(
            "Training diverged {rollbacks} time{}; start with a lower `lr`.",
            if rollbacks == 1 { "" } else { "s" }
        ));
    }
    let vals: Vec<(f64, f64)> = records.iter().filter_map(|r| Some((r.epoch, r.val(metric)?))).collect();
    let train = records.iter().rev().find_map(Record::train);
    let (Some(train), Some(&(end, last)), true) = (train, vals.last(), vals.len() >= 4) else { return said };
    let best = vals.iter().copied().fold((0.0, f64::MAX), |best, val| if val.1 < best.1 { val } else { best });
    let size = parameters as f64 / teachable(tokens.max(1));
    let before = vals.iter().rfind(|val| val.0 <= 0.8 * end).map_or(last, |val| val.1);
    if best.0 < EARLY * end && last > best.1 {
        said.push(format!(
            "The validation loss was lowest ({:.3} nats) at epoch {:.1} of {end:.1} and has risen since: the network \
             overfits. Use more `dropout` or a shorter run; the best model is kept.",
            best.1, best.0
        ));
    } else if last - train > GAP * train {
        said.push(format!(
            "The validation loss ({last:.3} nats) is {:.0} % above the training loss ({train:.3}): the network begins \
             to overfit; use more `dropout` or a longer text.",
            100.0 * (last - train) / train
        ));
    }
    if before - last > FALLING * last {
        said.push(format!(
            "The validation loss was still falling at the end, by {:.3} nats over the last fifth: train longer \
             (`epochs`, `max_time`).",
            before - last
        ));
    }
    if size > LARGE && last - train > GAP * train {
        said.push(format!("{parameters} parameters are many for {tokens} tokens: use a smaller `hidden`."));
    } else if size < SMALL && last - train < GAP * train {
        said.push(format!(
            "{tokens} tokens can teach more than {parameters} parameters: a larger `hidden` should help."
        ));
    }
    if said.is_empty() {
        said.push(format!("Validation loss {last:.3} nats, training loss {train:.3}: a balanced run."));
    }
    said.truncate(3);
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a run with these training and validation losses, one per epoch.
    fn said(losses: &[(f64, f64)], parameters: usize, tokens: usize) -> String {
        let record = |(i, &(train, val)): (usize, &(f64, f64))| Record {
            epoch: (i + 1) as f64,
            train_nats: Some(train),
            val: vec![("val_nats".into(), val)],
            ..Record::default()
        };
        let records: Vec<Record> = losses.iter().enumerate().map(record).collect();
        advice(&records, "val_nats", parameters, tokens, 0).join(" ")
    }

    #[test]
    fn each_kind_of_run_gets_its_advice() {
        let overfit = said(&[(2.0, 2.0), (1.5, 1.6), (1.0, 1.7), (0.8, 1.8), (0.6, 1.9)], 100_000, 500);
        assert!(overfit.contains("lowest (1.600 nats) at epoch 2.0 of 5.0") && overfit.contains("smaller `hidden`"));
        let short = said(&[(3.0, 3.0), (2.5, 2.5), (2.2, 2.2), (2.0, 2.0), (1.8, 1.8)], 1000, 50_000);
        assert!(short.contains("still falling") && short.contains("larger `hidden`"), "{short}");
        let gap = said(&[(1.5, 1.8), (1.3, 1.7), (1.25, 1.69), (1.2, 1.685), (1.2, 1.684)], 1000, 10_000);
        assert!(gap.contains("40 % above") && !gap.contains("still falling"), "{gap}");
        let balanced = said(&[(1.5, 1.6), (1.41, 1.505), (1.405, 1.502), (1.4, 1.5), (1.4, 1.5)], 50_000, 10_000);
        assert!(balanced.contains("balanced"), "{balanced}");
    }

    #[test]
    fn too_short_a_run_gets_no_advice() {
        assert_eq!(said(&[(2.0, 2.0), (1.5, 1.6)], 1000, 500), "");
        assert_eq!(advice(&[], "val_nats", 1, 1, 0), Vec::<String>::new());
        assert!(advice(&[], "val_nats", 1, 1, 2)[0].contains("2 times"));
    }
}
