//! The verdict on a run, by the measure that its best model is chosen by, and what to do next.

use super::Record;
use crate::metric::Baseline;

/// A validation loss above the training loss by this share is overfitting; a smaller gap is noise between two texts.
const GAP: f64 = 0.15;
/// A best validation before this share of the run: the rest did not help.
const EARLY: f64 = 0.7;
/// A change by less than this share, of a measure without a known error, is none.
const CHANGE: f64 = 0.01;
/// Validation examples below which a comparison tells little.
const TELLING: usize = 30;
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

/// What a verdict is given on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finished<'a> {
    /// The records of the run.
    pub records: &'a [Record],
    /// Weights, and training tokens, of a language model.
    pub text: Option<[usize; 2]>,
    /// Rollbacks after divergence.
    pub rollbacks: u32,
    /// Validation examples; 0 where they are not counted.
    pub examples: usize,
    /// What simple rules reach on them.
    pub baselines: &'a [Baseline],
    /// How the run is made longer, for those who read it.
    pub longer: &'a str,
}

/// The measure that chose the best model; of numbers that are predicted their error, in the label's unit.
pub fn deciding(records: &[Record]) -> Option<&str> {
    let first = records.iter().find(|record| !record.val.is_empty())?;
    let name = first.val[0].0.as_str();
    let rmse = first.val.iter().find(|(name, _)| name == "val_rmse");
    Some(if name == "val_loss" { rmse.map_or(name, |(name, _)| name) } else { name })
}

/// Whether more of a measure is better.
pub fn is_better_high(measure: &str) -> bool {
    !["nats", "loss", "rmse", "mae", "calibration_error"].iter().any(|end| measure.ends_with(end))
}

/// A measure in words: its name, and a value of it as people write it.
pub fn in_words(measure: &str, value: f64) -> (String, String) {
    let name = measure.strip_prefix("val_").unwrap_or(measure);
    match name {
        "accuracy"
        | "exact"
        | "micro_f1"
        | "macro_f1"
        | "foreground_accuracy"
        | "segment_accuracy"
        | "subset_accuracy" => (name.replace("_f1", " F1").replace('_', " "), format!("{:.1} %", 100.0 * value)),
        "bleu" => ("BLEU".into(), format!("{value:.1}")),
        "nats" | "windowed_nats" => ("validation loss".into(), format!("{value:.3} nats")),
        "rmse" => ("error (rmse)".into(), digits(value)),
        "bleu1" | "bleu2" | "bleu3" | "bleu4" => (name.replace("bleu", "BLEU-"), format!("{value:.1}")),
        _ => (name.replace('_', " "), digits(value)),
    }
}

/// A number by four digits.
fn digits(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        a if (1e-3..1e4).contains(&a) => {
            let places = (3 - a.log10().floor() as i32).clamp(0, 6) as usize;
            format!("{value:.places$}")
        }
        _ => format!("{value:.3e}"),
    }
}

/// The strongest of the simple rules by this measure.
pub fn strongest<'b>(baselines: &'b [Baseline], measure: &str) -> Option<&'b Baseline> {
    let name = |measure: &str| measure.strip_prefix("val_").unwrap_or(measure).to_string();
    let same = baselines.iter().filter(|baseline| name(&baseline.measure) == name(measure));
    let sign = if is_better_high(measure) { 1.0 } else { -1.0 };
    same.max_by(|a, b| (sign * a.value).total_cmp(&(sign * b.value)))
}

/// Whether a measure of which more is better can be no better.
fn is_perfect(measure: &str, value: f64) -> bool {
    let is_share = measure.ends_with("accuracy") || measure.ends_with("o_f1");
    is_better_high(measure) && (value >= 1.0 && is_share || value >= 99.95)
}

/// The verdict in a sentence, and a word on divergence or on the size of a language model where there is one. Empty if the
/// run is too short.
pub fn advice(run: &Finished) -> Vec<String> {
    let mut said = Vec::new();
    if run.rollbacks > 0 {
        let plural = if run.rollbacks == 1 { "" } else { "s" };
        said.push(format!("Training diverged {} time{plural}; start with a lower `lr`.", run.rollbacks));
    }
    let Some(measure) = deciding(run.records) else { return said };
    let vals: Vec<(f64, f64)> = run.records.iter().filter_map(|r| Some((r.epoch, r.val(measure)?))).collect();
    let Some(&(end, last)) = vals.last() else { return said };
    let sign = if is_better_high(measure) { 1.0 } else { -1.0 };
    let best = vals
        .iter()
        .copied()
        .fold((0.0, f64::NAN), |best, val| if best.1.is_nan() || sign * val.1 > sign * best.1 { val } else { best });
    // Where the weights of the end are kept, each validation is marked as that of the best model.
    let kept = run.records.iter().rfind(|record| record.best && record.val(measure).is_some());
    let kept = kept.map_or(best, |record| (record.epoch, record.val(measure).unwrap_or(best.1)));
    let words = |value: f64| in_words(measure, value).1;
    let name = in_words(measure, last).0;
    let title = capital(&name);
    let noise = noise(measure, best.1, run.examples);
    if let Some(rule) = strongest(run.baselines, measure).filter(|rule| sign * kept.1 <= sign * rule.value) {
        if is_perfect(measure, kept.1) {
            said.push(format!(
                "{title} {}: there is nothing left to gain on these validation data, and a simple rule does as well ({}).",
                words(kept.1),
                rule.name
            ));
            return said;
        }
        let no_better = format!(
            "{title} {} is no better than a simple rule's ({}: {})",
            words(kept.1),
            rule.name,
            words(rule.value)
        );
        said.push(match run.examples {
            few @ 1..TELLING => format!(
                "{no_better}, but that is of {few} validation example{}, too few to tell: evaluate it on other data.",
                if few == 1 { "" } else { "s" }
            ),
            _ => format!(
                "{no_better}: what the network reads has taught it no more; look at the data and their labels, or train \
                 longer, {}",
                run.longer
            ),
        });
        return said;
    }
    if vals.len() < 4 {
        return said;
    }
    let before = vals.iter().rfind(|val| val.0 <= 0.8 * end).map_or(last, |val| val.1);
    let (lost, gained) = (sign * (best.1 - last), sign * (last - before));
    let train = run.records.iter().rev().find_map(Record::train);
    let gap = train.filter(|_| run.text.is_some()).map_or(0.0, |train| (last - train) / train);
    let (turned, direction) = if sign > 0.0 { ("fallen", "rising") } else { ("risen", "falling") };
    let is_overfit = best.0 < EARLY * end && lost > noise;
    let is_rising = gained > noise;
    if is_overfit {
        said.push(format!(
            "{title} was best ({}) at epoch {:.1} of {end:.1} and has {turned} since: the network overfits. Use more \
             `dropout` or a shorter run; {}.",
            words(best.1),
            best.0,
            if kept.0 > best.0 {
                "`keep = best` keeps the best model, and this run kept the last"
            } else {
                "the best model is kept"
            }
        ));
    } else if is_perfect(measure, best.1) {
        said.push(format!("{title} {}: there is nothing left to gain on these validation data.", words(kept.1)));
    } else if is_rising {
        said.push(format!(
            "{title} was still {direction} at the end, by {} over the last fifth: train longer, {}",
            words(gained.abs()),
            run.longer
        ));
    } else if gap > GAP {
        said.push(format!(
            "{title} {} is {:.0} % above the training loss: the network begins to overfit; use more `dropout` or a longer \
             text.",
            words(last),
            100.0 * gap
        ));
    } else {
        said.push(format!("{title} {} has levelled off: a longer run would bring little.", words(kept.1)));
    }
    if let Some([parameters, tokens]) = run.text {
        let size = parameters as f64 / teachable(tokens.max(1));
        if size > LARGE && gap > GAP && !is_rising {
            said.push(format!("{parameters} parameters are many for {tokens} tokens: use a smaller `hidden`."));
        } else if size < SMALL && gap < GAP && !is_overfit {
            said.push(format!(
                "{tokens} tokens can teach more than {parameters} parameters: a larger `hidden` should help."
            ));
        }
    }
    said
}

/// What a measure changes by without meaning: two standard errors of a share of so many examples.
fn noise(measure: &str, value: f64, examples: usize) -> f64 {
    let is_share = measure.ends_with("accuracy") || measure.ends_with("exact");
    match is_share && examples > 0 {
        true => 2.0 * (value * (1.0 - value) / examples as f64).sqrt().max(0.25 / examples as f64),
        false => CHANGE * value.abs(),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records of a run with these training losses and validation measures, one per epoch.
    fn records(measure: &str, values: &[(f64, f64)]) -> Vec<Record> {
        let record = |(i, &(train, val)): (usize, &(f64, f64))| Record {
            epoch: (i + 1) as f64,
            train_nats: Some(train),
            val: vec![(measure.into(), val)],
            ..Record::default()
        };
        values.iter().enumerate().map(record).collect()
    }

    fn said(losses: &[(f64, f64)], parameters: usize, tokens: usize) -> String {
        let records = records("val_nats", losses);
        let text = Some([parameters, tokens]);
        advice(&Finished { records: &records, text, longer: "so", ..Finished::default() }).join(" ")
    }

    #[test]
    fn each_kind_of_text_run_gets_one_verdict() {
        let overfit = said(&[(2.0, 2.0), (1.5, 1.6), (1.0, 1.7), (0.8, 1.8), (0.6, 1.9)], 100_000, 500);
        assert!(overfit.contains("best (1.600 nats) at epoch 2.0 of 5.0") && overfit.contains("smaller `hidden`"));
        let short = said(&[(3.0, 3.0), (2.5, 2.5), (2.2, 2.2), (2.0, 2.0), (1.8, 1.8)], 1000, 50_000);
        assert!(short.contains("still falling") && short.contains("train longer, so"), "{short}");
        assert!(short.contains("larger `hidden`"), "{short}");
        let gap = said(&[(1.5, 1.8), (1.3, 1.7), (1.25, 1.69), (1.2, 1.685), (1.2, 1.684)], 1000, 10_000);
        assert!(gap.contains("40 % above") && !gap.contains("still falling"), "{gap}");
        let both = said(&[(1.5, 2.0), (1.3, 1.9), (1.2, 1.8), (1.1, 1.7), (1.0, 1.6)], 50_000, 10_000);
        assert!(both.contains("still falling") && !both.contains("overfit"), "{both}");
        let level = said(&[(1.5, 1.6), (1.41, 1.505), (1.405, 1.502), (1.4, 1.5), (1.4, 1.5)], 50_000, 10_000);
        assert!(level.contains("levelled off"), "{level}");
    }

    #[test]
    fn a_classifier_is_judged_by_its_accuracy_and_its_noise_and_beside_simple_rules() {
        let of = |shares: &[f64], examples: usize, rule: f64| {
            let values: Vec<(f64, f64)> = shares.iter().map(|share| (0.1, *share)).collect();
            let records = records("val_accuracy", &values);
            let rule = Baseline { name: "linear".into(), measure: "accuracy".into(), value: rule };
            let run = Finished { records: &records, examples, baselines: &[rule], longer: "so", ..Finished::default() };
            advice(&run).join(" ")
        };
        assert!(of(&[0.5, 0.6, 0.6, 0.6, 0.6], 100, 0.8).contains("no better than a simple rule's (linear: 80.0 %)"));
        assert!(of(&[0.5, 0.6, 0.6, 0.6, 0.6], 7, 0.8).contains("of 7 validation examples, too few to tell"));
        assert!(of(&[0.5, 0.6, 0.7, 0.8, 0.9], 1000, 0.3).contains("still rising at the end, by 10.0 % over the last"));
        // The same change of few examples is noise.
        assert!(of(&[0.5, 0.6, 0.7, 0.8, 0.85], 20, 0.3).contains("levelled off"));
        assert!(
            of(&[0.5, 0.9, 0.8, 0.7, 0.6], 1000, 0.3).contains("was best (90.0 %) at epoch 2.0 of 5.0 and has fallen")
        );
        assert!(of(&[0.5, 1.0, 1.0, 1.0, 1.0], 1000, 0.3).contains("nothing left to gain"));
        assert!(of(&[0.5, 1.0, 1.0, 1.0, 1.0], 1000, 1.0).contains("a simple rule does as well (linear)"));
    }

    #[test]
    fn numbers_are_judged_by_their_error_and_short_runs_not_at_all() {
        let val = |rmse: f64| vec![("val_loss".to_string(), rmse / 9.0), ("val_rmse".to_string(), rmse)];
        let record = |i: usize| Record { epoch: i as f64, val: val(9.0 - i as f64), ..Record::default() };
        let records: Vec<Record> = (1..6).map(record).collect();
        let run = Finished { records: &records, longer: "so", ..Finished::default() };
        assert!(
            advice(&run)[0].starts_with("Error (rmse) was still falling at the end, by 1.000"),
            "{:?}",
            advice(&run)
        );
        assert_eq!(advice(&Finished { records: &records[..2], ..run }), [""; 0]);
        assert_eq!(advice(&Finished::default()), [""; 0]);
        assert!(advice(&Finished { rollbacks: 2, ..Finished::default() })[0].contains("2 times"));
        assert_eq!([0.012_346, 3.24159, 1234.6, 0.0, 2.5e7].map(digits), ["0.01235", "3.242", "1235", "0", "2.500e7"]);
    }
}
