//! Metrics against recordings of sacreBLEU and of the formulas in numpy (`tests/reference/README.md`).

use std::path::Path;

use elman::metric::calibration::{expected_calibration_error, fit_temperature};
use elman::metric::ranking::{average_precision, roc_auc};
use elman::metric::{Bleu, Chrf, Confusion, Tokenizer};
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn parse<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn assert_near(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-9 * want.abs().max(1.0), "{what}: {got}, recorded {want}");
}

/// Tokenizer, lower case, score, brevity penalty, precisions, the line, scores of the sentences.
type BleuRow = (String, bool, f64, f64, [f64; 4], String, Vec<f64>);

#[derive(Deserialize)]
struct Corpus {
    hypotheses: Vec<String>,
    references: Vec<Vec<String>>,
    bleu: Vec<BleuRow>,
    /// Lower case, score, scores of the sentences.
    chrf: Vec<(bool, f64, Vec<f64>)>,
}

#[derive(Deserialize)]
struct SacreBleu {
    corpora: Vec<Corpus>,
    tokens: Vec<(String, Vec<String>)>,
}

#[test]
fn lines_are_cut_as_sacrebleu_cuts_them() {
    let recorded: SacreBleu = parse("sacrebleu.json");
    assert_eq!(recorded.tokens.len(), 300);
    for (line, want) in recorded.tokens {
        assert_eq!(Tokenizer::V13a.tokens(&line), want, "{line:?}");
    }
}

#[test]
fn bleu_and_chrf_are_sacrebleus() {
    let recorded: SacreBleu = parse("sacrebleu.json");
    assert_eq!(recorded.corpora.len(), 240);
    for Corpus { hypotheses, references, bleu, chrf } in recorded.corpora {
        let what = format!("{hypotheses:?} against {references:?}");
        for (tokenizer, lowercase, score, brevity_penalty, precisions, line, sentences) in bleu {
            let tokenizer = if tokenizer == "none" { Tokenizer::None } else { Tokenizer::V13a };
            let bleu = Bleu { tokenizer, lowercase, ..Bleu::default() };
            let got = bleu.corpus(&hypotheses, &references).unwrap();
            assert_near(&what, got.bleu, score);
            assert_near(&what, got.brevity_penalty, brevity_penalty);
            (0..4).for_each(|n| assert_near(&what, got.precisions[n], precisions[n]));
            assert_eq!(got.to_string(), line, "{what}");
            for ((hypothesis, references), want) in hypotheses.iter().zip(&references).zip(sentences) {
                assert_near(hypothesis, bleu.sentence(hypothesis, references).bleu, want);
            }
        }
        for (lowercase, score, sentences) in chrf {
            let chrf = Chrf { lowercase };
            assert_near(&what, chrf.corpus(&hypotheses, &references).unwrap(), score);
            for ((hypothesis, references), want) in hypotheses.iter().zip(&references).zip(sentences) {
                assert_near(hypothesis, chrf.sentence(hypothesis, references), want);
            }
        }
    }
}

#[derive(Deserialize)]
struct Classification {
    confusions: Vec<ConfusionCase>,
    rankings: Vec<RankingCase>,
    calibrations: Vec<CalibrationCase>,
}

#[derive(Deserialize)]
struct ConfusionCase {
    classes: usize,
    truth: Vec<usize>,
    predicted: Vec<usize>,
    precision: Vec<f64>,
    recall: Vec<f64>,
    f1: Vec<f64>,
    accuracy: f64,
    macro_f1: f64,
}

#[derive(Deserialize)]
struct RankingCase {
    scores: Vec<f64>,
    truths: Vec<bool>,
    auc: f64,
    average_precision: f64,
}

#[derive(Deserialize)]
struct CalibrationCase {
    logits: Vec<f64>,
    classes: usize,
    targets: Vec<u32>,
    temperature: f64,
    nll: f64,
    confidence: Vec<f64>,
    correct: Vec<bool>,
    ece: f64,
}

#[test]
fn classification_metrics_are_those_of_the_formulas() {
    let recorded: Classification = parse("classification.json");
    for case in recorded.confusions {
        let mut confusion = Confusion::new(case.classes);
        case.truth.iter().zip(&case.predicted).for_each(|(&t, &p)| confusion.add(t, p));
        assert_near("accuracy", confusion.accuracy(), case.accuracy);
        assert_near("macro F1", confusion.macro_f1(), case.macro_f1);
        for k in 0..case.classes {
            let got = confusion.class(k);
            assert_near("precision", got.precision, case.precision[k]);
            assert_near("recall", got.recall, case.recall[k]);
            assert_near("F1", got.f1, case.f1[k]);
        }
    }
    for case in recorded.rankings {
        assert_near("area", roc_auc(&case.scores, &case.truths).unwrap(), case.auc);
        assert_near("precision", average_precision(&case.scores, &case.truths).unwrap(), case.average_precision);
    }
    for case in recorded.calibrations {
        let ece = expected_calibration_error(&case.confidence, &case.correct, 15).unwrap();
        assert_near("calibration error", ece, case.ece);
        let temperature = fit_temperature(&case.logits, case.classes, &case.targets).unwrap();
        // A grid finds a minimum to the root of the loss's precision; the loss there to all of it.
        assert!((temperature / case.temperature - 1.0).abs() < 1e-6, "{temperature}, recorded {}", case.temperature);
        let nll = case.logits.chunks(case.classes).zip(&case.targets).map(|(z, &target)| {
            let sum: f64 = z.iter().map(|z| (z / temperature).exp()).sum();
            sum.ln() - z[target as usize] / temperature
        });
        assert_near("nll", nll.sum::<f64>() / case.targets.len() as f64, case.nll);
    }
}
