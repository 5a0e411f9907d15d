use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::training::{Training, own_probability, spread};
use super::*;
use crate::data::Units;
use crate::rng::Rng;
use crate::settings::Settings;
use crate::task::translate::Translate;
use crate::task::{Evaluate, Input, Model, Output, Predict, Prediction, Start, Written, open, plan};
use crate::train::{Batches, Ranks, Record, RunFolder};

/// Digits and their names in reverse, a line each: `4 5` becomes `five four`.
fn pairs(n: usize, seed: u64) -> [String; 2] {
    const NAMES: [&str; 6] = ["zero", "one", "two", "three", "four", "five"];
    let mut rng = Rng::new(seed, "pairs");
    let (mut sources, mut targets) = (String::new(), String::new());
    for _ in 0..n {
        let digits: Vec<usize> = (0..1 + rng.below(4)).map(|_| rng.below(6)).collect();
        let source: Vec<String> = digits.iter().map(usize::to_string).collect();
        let target: Vec<&str> = digits.iter().rev().map(|&digit| NAMES[digit]).collect();
        sources += &(source.join(" ") + "\n");
        targets += &(target.join(" ") + "\n");
    }
    [sources, targets]
}

/// Images of two features each in two positions or one, a colour and a form; as `.npy` and table of captions.
fn scenes(rows: usize, positions: usize) -> (Vec<u8>, String) {
    let mut rng = Rng::new(1, "scenes");
    let dims = if positions == 1 { format!("({rows}, 6)") } else { format!("({rows}, {positions}, 6)") };
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {dims}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    let mut captions = String::new();
    for row in 0..rows {
        let (colour, form) = (rng.below(3), rng.below(3));
        for position in 0..positions {
            let mut features = [0.0f32; 6];
            // In a map, colour and form stand at different positions.
            features[colour] = if position == 0 { 1.0 } else { 0.0 };
            features[3 + form] = if position == positions - 1 { 1.0 } else { 0.0 };
            bytes.extend(features.iter().flat_map(|x| x.to_le_bytes()));
        }
        let (colour, form) = (["red", "green", "blue"][colour], ["circle", "square", "star"][form]);
        let split = if row + 50 < rows { "train" } else { "dev" };
        captions += &format!("{row}\t{split}\tThere is a {colour} {form}.\n");
    }
    (bytes, captions)
}

fn settings(task: &str) -> Settings {
    Settings {
        dropout: 0.0,
        vocab_min: 1,
        lr: 0.01,
        ema_decay: 0.0,
        warmup: 10,
        sample_every: 0,
        threads: 1,
        val_beam: 5,
        ..Settings::for_task(task).unwrap()
    }
}

fn translation(folder: &Path) -> Settings {
    for (name, n, seed) in [("train", 600, 1), ("val", 100, 2)] {
        let [sources, targets] = pairs(n, seed);
        fs::write(folder.join(format!("{name}.en")), sources).unwrap();
        fs::write(folder.join(format!("{name}.fr")), targets).unwrap();
    }
    let path = |name: &str| folder.join(name).display().to_string();
    Settings {
        source: path("train.en"),
        target: path("train.fr"),
        val_source: path("val.en"),
        val_target: path("val.fr"),
        hidden: 32,
        encoder_hidden: 16,
        embedding: 24,
        label_smoothing: 0.05,
        units: Units::Word,
        batch: 32,
        epochs: 25.0,
        ..settings("translate")
    }
}

/// The model of a run, and the record of its best validation.
fn trained(settings: Settings, folder: &Path) -> (Box<dyn Model>, Record) {
    let plan = plan(settings).unwrap();
    let run = RunFolder::create(folder, &plan.settings().to_toml().unwrap()).unwrap();
    let mut session = plan.session(Start::new(run)).unwrap();
    session.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
    let best = session.records().iter().rfind(|record| record.best).unwrap().clone();
    (open(folder.join("best.safetensors")).unwrap(), best)
}

fn best(found: &[Prediction]) -> Vec<Written> {
    let best = |found: &Prediction| match &found.output {
        Output::Texts { written, .. } => written[0].clone(),
        other => panic!("{other:?}"),
    };
    found.iter().map(best).collect()
}

#[test]
fn a_small_language_is_learned_and_a_model_file_writes_as_the_network_did() {
    let folder = tempfile::tempdir().unwrap();
    let settings = translation(folder.path());
    let run = folder.path().join("run");
    let (mut model, record) = trained(settings.clone(), &run);
    let data = Settings {
        source: settings.val_source.clone(),
        target: settings.val_target.clone(),
        ..Settings::for_task("translate").unwrap()
    };
    let found = model.evaluate(&data, &Evaluate::default(), &mut |_, _| true).unwrap();
    let get = |name: &str| found.get(name).unwrap();
    assert!(get("exact") > 0.9 && get("bleu") > 90.0 && get("chrf") > 90.0 && get("loss_nats") < 0.3, "{found:?}");
    let measures = [("val_bleu", "bleu"), ("val_nats", "loss_nats"), ("val_exact", "exact")];
    assert_eq!(record.val.len(), measures.len());
    measures.into_iter().for_each(|(in_record, name)| assert_eq!(record.val(in_record), Some(get(name)), "{name}"));
    assert_eq!((found.examples, &found.details["models"]), ((100, "pairs"), &json!(1)));

    let sources = fs::read_to_string(&settings.val_source).unwrap();
    let sources: Vec<&str> = sources.lines().collect();
    let written = best(&model.predict(Input::Texts(&sources), &Predict::default()).unwrap());
    let texts: Vec<&String> = written.iter().map(|written| &written.text).collect();
    assert_eq!(texts, found.texts.iter().collect::<Vec<_>>());
    // Alone as among others.
    let alone = model.predict(Input::Texts(&sources[7..8]), &Predict::default()).unwrap();
    assert_eq!(best(&alone)[0], written[7]);
    // A token never seen is read as the unknown one; every word has its attention.
    let options = Predict { attention: Some(true), nbest: Some(2), ..Predict::default() };
    let seen = model.predict(Input::Texts(&["3 犬"]), &options).unwrap();
    let Output::Texts { written, source: crate::task::Source::Tokens(tokens) } = &seen[0].output else {
        panic!("{seen:?}")
    };
    assert_eq!((written.len(), tokens.len()), (2, 2));
    let words = &written[0].words;
    assert!(!words.is_empty() && words.iter().all(|(_, attention)| attention.len() == tokens.len() + 1), "{words:?}");
    let long = "3 ".repeat(2 * MAX_SOURCE);
    let options = Predict { beam: Some(1), ..Predict::default() };
    let seen = model.predict(Input::Texts(&[&long]), &options).unwrap();
    assert!(seen[0].warning.as_ref().is_some_and(|text| text.contains("2000")), "{seen:?}");
    let message = |input, options: Predict| model.predict(input, &options).unwrap_err().to_string();
    assert!(message(Input::Texts(&["3", " "]), Predict::default()).contains("text 2"));
    assert!(message(Input::File(&run), Predict::default()).contains("texts"));
    assert!(message(Input::Texts(&["3"]), Predict { nbest: Some(9), ..Predict::default() }).starts_with("nbest 9: "));

    model.join(open(run.join("best.safetensors")).unwrap()).unwrap();
    let twins = model.evaluate(&data, &Evaluate::default(), &mut |_, _| true).unwrap();
    assert_eq!((&twins.details["models"], &twins.texts), (&json!(2), &found.texts));
    let other = folder.path().join("other");
    let (other, _) = trained(Settings { units: Units::Char, max_steps: 2, ..settings }, &other);
    assert!(model.join(other).unwrap_err().to_string().contains("the same tokens"));
}

#[test]
fn scenes_are_described_from_a_vector_and_from_a_map() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let mut models = Vec::new();
    for positions in [1, 4] {
        let (features, captions) = scenes(300, positions);
        fs::write(path("features.npy"), features).unwrap();
        fs::write(path("captions.tsv"), captions).unwrap();
        let settings = Settings {
            features: path("features.npy"),
            captions: path("captions.tsv"),
            hidden: 24,
            embedding: 16,
            feature_dropout: 0.0,
            label_smoothing: 0.0,
            batch: 16,
            epochs: 15.0,
            ..settings("caption")
        };
        let (model, record) = trained(settings.clone(), &folder.path().join(format!("run{positions}")));
        let options = Evaluate { split: Some("dev".into()), ..Evaluate::default() };
        let data = Settings { features: settings.features.clone(), captions: settings.captions, ..settings };
        let found = model.evaluate(&data, &options, &mut |_, _| true).unwrap();
        assert!(found.get("bleu4") > Some(99.0) && found.get("loss_nats") < Some(0.05), "{positions}: {found:?}");
        assert_eq!((record.val("val_bleu4"), record.val("val_nats")), (found.get("bleu4"), found.get("loss_nats")));
        let predictions = model.predict(Input::File(Path::new(&data.features)), &Predict::default()).unwrap();
        assert_eq!((predictions.len(), best(&predictions)[253].text.clone()), (300, found.texts[3].clone()));
        assert!(found.texts[3].starts_with("there is a ") && predictions[253].input.ends_with("features.npy:253"));
        fs::write(path("wide.npy"), scenes(2, 5).0).unwrap();
        let error = model.predict(Input::File(Path::new(&path("wide.npy"))), &Predict::default()).unwrap_err();
        assert!(error.to_string().contains("another encoder"), "{error}");
        let drawn = Predict { attention: Some(true), ..Predict::default() };
        let drawn = model.predict(Input::File(Path::new(&data.features)), &drawn);
        assert_eq!(drawn.is_ok(), positions > 1, "a vector has no positions to attend to");
        let image = model.predict(Input::File(Path::new("a.jpg")), &Predict::default()).unwrap_err().to_string();
        assert!(image.contains("a.jpg: an image needs `encoder`"), "{image}");
        models.push(model);
    }
    let (map, mut vector) = (models.pop().unwrap(), models.pop().unwrap());
    assert!(vector.join(map).unwrap_err().to_string().contains("1 x 6 and 4 x 6"));
    let missing = Settings { captions: path("captions.tsv"), ..Settings::for_task("caption").unwrap() };
    assert!(plan(missing).unwrap_err().to_string().contains("`features`"));
}

#[test]
fn reading_goes_on_from_a_saved_position() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { max_len: 4, word_dropout: 0.2, ..translation(folder.path()) };
    let corpus = |settings: &Settings| Translate::corpus(settings, &mut |_, _| true).unwrap();
    let train = corpus(&settings);
    assert!(train.too_long > 0 && train.train.len() + train.too_long == 600);
    let mut whole = Training::new(&train, &settings, &Ranks::default()).unwrap();
    let next = |training: &mut Training<Translate>, index| {
        let mut batches = Vec::new();
        training.next_batch(index, &mut batches, &mut std::iter::empty());
        batches.iter().flat_map(|batch| batch.sources.tokens.clone()).collect::<Vec<_>>()
    };
    (0..4).for_each(|index| drop(next(&mut whole, index)));
    let mut part = Training::new(&train, &settings, &Ranks::default()).unwrap();
    part.cursor_mut().seek(&whole.cursor().position()).unwrap();
    for index in 4..9 {
        assert_eq!(next(&mut part, index), next(&mut whole, index));
    }
    let other =
        Settings { source: settings.val_source.clone(), target: settings.val_target.clone(), ..settings.clone() };
    assert_ne!(whole.fingerprint(), Training::new(&corpus(&other), &other, &Ranks::default()).unwrap().fingerprint());
}

#[test]
fn the_own_prediction_is_fed_more_and_more_over_the_run() {
    let settings = Settings { scheduled_sampling: 0.4, epochs: 10.0, max_steps: 0, ..settings("caption") };
    assert_eq!([0.0, 5.0, 12.0].map(|epochs| own_probability(&settings, epochs, 7)), [0.0, 0.2, 0.4]);
    let settings = Settings { max_steps: 100, accumulate: 2, ..settings };
    assert_eq!(own_probability(&settings, 1.0, 100), 0.2);
}

#[test]
fn validation_examples_are_spread_over_all() {
    assert_eq!(spread(10, 4).collect::<Vec<_>>(), [0, 2, 5, 7]);
    assert_eq!(spread(3, 4).count(), 3);
    assert_eq!(spread(3, 0).count(), 3);
    assert_eq!(spread(0, 5).count(), 0);
}
