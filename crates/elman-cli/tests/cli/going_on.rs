//! Runs made longer, and runs that begin from trained weights.

use elman::format::model;

use crate::place::{Place, TINY};

/// A run of a text with a schedule that does not depend on the length, in epochs of 64 updates.
const CONSTANT: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --dropout 0.1 --embedding 0 --lr 0.01 --ema-decay 0.9 \
                        --sample-length 20 --schedule constant --warmup 0 --quiet";

/// A table of three classes in two numbers.
fn table(classes: usize, rows: usize) -> String {
    let row = |i: usize| {
        let k = i % classes;
        let (a, b) = ((i * 37 % 50) as f64 / 50.0, (i * 17 % 50) as f64 / 50.0);
        format!("{:.2},{:.2},{}\n", 2.0 * k as f64 + a, 3.0 - k as f64 + b, ["x", "y", "z"][k])
    };
    format!("a,b,kind\n{}", (0..rows).map(row).collect::<String>())
}

/// Texts of two or three labels.
fn texts(labels: &[&str], rows: usize) -> String {
    let row = |i: usize| {
        let label = labels[i % labels.len()];
        format!("a {label}ish thing number {}\t{label}\n", i % 7)
    };
    format!("text\tlabel\n{}", (0..rows).map(row).collect::<String>())
}

fn tensor(place: &Place, file: &str, name: &str) -> Vec<f32> {
    model::load(&place.path(file)).unwrap().document.f32(name).unwrap().to_vec()
}

#[test]
fn a_run_made_longer_has_the_bits_of_one_that_was_as_long_from_the_start() {
    let place = Place::new();
    let lines = |text: Vec<u8>| text.iter().filter(|&&byte| byte == b'\n').count();
    for every in ["--val-every 16", ""] {
        place.ok(&format!("train book.txt --out whole {CONSTANT} --max-steps 200 {every}"));
        place.ok(&format!("train book.txt --out parts {CONSTANT} --max-steps 96 {every}"));
        let said = place.ok("train --resume parts --max-steps 200");
        assert!(said.stderr.contains("goes on from update 96"), "{said:?}");
        assert!(said.stderr.contains("ends at 200 updates") && !said.stderr.contains("schedule"), "{said:?}");
        let same = |name: &str| place.read(&format!("whole/{name}")) == place.read(&format!("parts/{name}"));
        if every.is_empty() {
            // Validated at other updates, but the weights are the same.
            for name in ["output.weight", "rnn.weight_hh_l0", "training.adam.v", "training.average"] {
                let [whole, parts] =
                    ["whole", "parts"].map(|run| tensor(&place, &format!("{run}/last.safetensors"), name));
                assert_eq!(whole, parts, "{name}");
            }
        } else {
            assert!(same("last.safetensors") && same("best.safetensors"));
            assert_eq!(lines(place.read("whole/metrics.jsonl")), lines(place.read("parts/metrics.jsonl")));
        }
        let config = String::from_utf8(place.read("parts/config.toml")).unwrap();
        assert!(config.contains("\nmax_steps = 200\n") && config.contains("\nepochs = 0.0\n"), "{config}");
        for run in ["whole", "parts"] {
            std::fs::remove_dir_all(place.path(run)).unwrap();
        }
    }
}

#[test]
fn epochs_of_a_classifier_add_up_with_its_second_training_too() {
    let place = Place::new();
    place.write("three.csv", table(3, 150));
    let settings = "--task classify --label-column kind --schedule constant --warmup 0 --val-every 10 --quiet";
    for refit in ["yes", "no"] {
        place.ok(&format!("train three.csv {settings} --refit {refit} --epochs 10 --out whole-{refit}"));
        place.ok(&format!("train three.csv {settings} --refit {refit} --epochs 5 --out parts-{refit}"));
        place.ok(&format!("train --resume parts-{refit} --epochs 10 --quiet"));
        for name in ["best.safetensors", "last.safetensors"] {
            assert!(
                place.read(&format!("whole-{refit}/{name}")) == place.read(&format!("parts-{refit}/{name}")),
                "{refit} {name}"
            );
        }
    }
    assert!(place.path("whole-yes/first.safetensors").exists() && !place.path("whole-no/first.safetensors").exists());
}

#[test]
fn a_schedule_of_the_length_is_recomputed_and_said() {
    let place = Place::new();
    place.ok(&format!("train book.txt --out run {CONSTANT} --schedule cosine --max-steps 60"));
    let said = place.ok("train --resume run --max-steps 120 --threads 1");
    assert!(said.stderr.contains("the cosine schedule is that of the new length: learning rate 5.0"), "{said:?}");
    assert!(said.stderr.contains("not 1.00e-4"), "{said:?}");
}

#[test]
fn a_length_that_is_over_and_settings_that_stay_are_refused_with_the_way_out() {
    let place = Place::new();
    place.train("run", "--patience 0");
    let before = place.read("run/config.toml");
    place.run("train --resume run --max-steps 20").fails(2, &["30 updates", "counts from the beginning"]);
    place.run("train --resume run --epochs 0").fails(2, &["--epochs", "has an end"]);
    place.run("train --resume run --lr 0.1").fails(2, &["--lr", "--epochs, --max-steps, --max-time", "--from run"]);
    assert_eq!(place.read("run/config.toml"), before);
    // What early stopping ended goes on with more patience only.
    let slow =
        "--hidden 8 --batch 4 --seq-len 16 --lr 1e-30 --ema-decay 0 --quiet --max-steps 100 --patience 2 --val-every 5";
    place.ok(&format!("train book.txt --out early {slow}"));
    place.run("train --resume early --max-steps 200").fails(2, &["--patience 2", "nothing better"]);
    let said = place.ok("train --resume early --patience 0 --max-steps 40");
    assert!(said.stderr.contains("goes on from update 15"), "{said:?}");
}

#[test]
fn the_advice_at_the_end_is_a_command_that_works() {
    let place = Place::new();
    let said = place.ok(&format!("train book.txt --out run {TINY} --val-every 5"));
    let (_, command) = said.stderr.split_once("train longer, elman ").unwrap_or_else(|| panic!("{said:?}"));
    let command = command.lines().next().unwrap().trim_end_matches('.');
    assert_eq!(command, "train --resume run --max-steps 60");
    place.ok(command);
}

#[test]
fn a_language_model_goes_on_with_another_text_and_its_new_characters() {
    let place = Place::new();
    place.train("run", "--embedding 6");
    place.write("other.txt", "Zwölf Boxkämpfer jagen Viktor quer über den großen Deich.\n".repeat(60));
    let said = place.ok("train other.txt --from run --out fine --batch 4 --seq-len 16 --max-steps 5 --sample-length 0");
    for part in ["begins from the weights of ", "new characters", "'ö'", "'ß'"] {
        let part = part.replace('\'', "\"");
        assert!(said.stderr.contains(&part), "{part}: {said:?}");
    }
    assert!(place.path("fine/from.safetensors").exists());
    place.ok("eval fine other.txt");
    // The old text is still in the vocabulary.
    place.ok("eval fine book.txt");
    place.ok("sample fine --length 5 --prompt Zwölf");
    // The original may go, and the run goes on.
    std::fs::remove_dir_all(place.path("run")).unwrap();
    place.ok("train --resume fine --max-steps 8 --quiet");
    place.run("train other.txt --from run").fails(3, &["run: cannot read: no such file"]);
}

#[test]
fn what_contradicts_the_model_is_refused_by_name() {
    let place = Place::new();
    place.train("run", "");
    place.run("train book.txt --from run --hidden 9").fails(2, &["--hidden 9", "--hidden is 8"]);
    place.run("train book.txt --from run --cell lstm").fails(2, &["--cell lstm", "gru"]);
    place.run("train book.txt --from run --task classify").fails(2, &["language-model", "classify"]);
    place.run("train book.txt --from run --freeze rnn.3").fails(2, &["\"rnn.3\"", "rnn.0, output"]);
    place.ok("train book.txt --from run --hidden 8 --batch 4 --seq-len 16 --max-steps 2 --quiet");
    place.write("three.csv", table(3, 90));
    place.ok("train three.csv --task classify --label-column kind --max-steps 20 --out classes --quiet");
    place.write("other.csv", table(3, 90).replace("a,b,kind", "a,c,kind"));
    place.run("train other.csv --from classes").fails(3, &["other.csv", "\"b\""]);
    place.write("more.csv", table(3, 90).replace("a,b,kind", "b,a,kind"));
    let said = place.ok("train more.csv --from classes --max-steps 5 --out more");
    assert!(said.stderr.contains("begins from the weights of"), "{said:?}");
}

#[test]
fn a_classifier_gets_a_new_label_and_new_words_and_keeps_what_it_knew() {
    let place = Place::new();
    place.write("two.tsv", texts(&["red", "blue"], 80));
    place.write("three.tsv", texts(&["blue", "green", "red"], 90));
    let sizes = "--hidden 8 --embedding 8 --batch 8 --refit no --quiet";
    place.ok(&format!("train two.tsv --task classify-text {sizes} --max-steps 40 --out two"));
    // Trained by no step of any size, the rows of the old labels are those of the model.
    let said = place.ok(
        "train three.tsv --from two --batch 8 --refit no --max-steps 60 --ema-decay 0 --freeze embedding,rnn --out three",
    );
    assert!(said.stderr.contains("1 new label, whose weights begin as new: \"green\""), "{said:?}");
    assert!(said.stderr.contains("new word") && said.stderr.contains("greenish"), "{said:?}");
    for name in ["rnn.weight_ih_l0", "rnn.weight_hh_l0_reverse", "rnn.bias_hh_l0"] {
        assert_eq!(tensor(&place, "two", name), tensor(&place, "three", name), "{name}");
    }
    let [old, new] = ["two", "three"].map(|run| tensor(&place, run, "embedding.weight"));
    assert!(new.len() > old.len() && new[..old.len()] == old);
    assert_ne!(tensor(&place, "two", "output.bias")[..2], tensor(&place, "three", "output.bias")[..2]);
    let labels = place.ok("predict three --json greenish").stdout;
    assert!(labels.contains("green"), "{labels}");
    // As the model counts, first the labels that it knew.
    assert!(place.ok("inspect three").stdout.contains("3: blue, red, green"));
    let eval = place.ok("eval three three.tsv --json").stdout;
    let eval: serde_json::Value = serde_json::from_str(&eval).unwrap();
    assert!(eval["accuracy"].as_f64().unwrap() > 0.9, "{eval}");
}

#[test]
fn series_frames_numbers_and_translations_begin_from_a_model() {
    let place = Place::new();
    for (task, sizes, freeze) in [
        ("classify", "--convs 4 --dense 8", "conv0"),
        ("regress", "--convs 4 --dense 8", "dense0"),
        ("classify-sequence", "--hidden 6", "rnn.0"),
        ("classify-frames", "--hidden 6 --layers 1 --convs 2 --dense 4", "front"),
        ("translate", "--hidden 8 --encoder-hidden 6 --embedding 6 --val-limit 5", "encoder"),
        ("caption", "--hidden 8 --embedding 6 --val-limit 5", "feature"),
    ] {
        let run = "--max-steps 2 --refit no --quiet --threads 2";
        let run = if task == "translate" || task == "caption" { run.replace("--refit no ", "") } else { run.into() };
        place.ok(&format!("train --task {task} {sizes} {run} --out {task}"));
        let said = place.ok(&format!(
            "train --from {task} --freeze {freeze} {} --out {task}-2",
            run.replace("--quiet", "").replace("--max-steps 2", "--max-steps 3")
        ));
        assert!(said.stderr.contains("stays as it is"), "{said:?}");
        let loaded = model::load(&place.path(task)).unwrap();
        let (mut same, mut moved) = (0, 0);
        for name in loaded.document.names() {
            let is_frozen = elman::param::layer_of(name).starts_with(freeze);
            let is_same = tensor(&place, task, name) == tensor(&place, &format!("{task}-2"), name);
            assert!(!is_frozen || is_same, "{task} {name}");
            (same, moved) = (same + usize::from(is_frozen), moved + usize::from(!is_same));
        }
        assert!(same > 0 && moved > 0, "{task}: {same} {moved}");
    }
}
