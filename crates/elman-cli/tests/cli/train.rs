//! `elman train`: what it writes, and that the same seed writes the same.

use crate::place::{Place, TINY};

#[test]
fn a_run_leaves_its_settings_metrics_samples_and_models() {
    let place = Place::new();
    let run = place.train("run", "");
    assert_eq!(run.stdout, "");
    let first: Vec<&str> = run.stderr.lines().take(2).collect();
    let first = first.join("\n");
    for part in ["parameters", "vocabulary 3", "characters per parameter", "MB", "1 threads", "seed 1"] {
        assert!(first.contains(part), "`{part}` is not in {first}");
    }
    assert!(run.stderr.contains("bits") && run.stderr.contains("characters/s"), "{run:?}");
    for name in ["config.toml", "metrics.jsonl", "metrics.csv", "best.safetensors", "last.safetensors"] {
        assert!(!place.read(&format!("run/{name}")).is_empty());
    }
    assert!(std::fs::read_dir(place.path("run/samples")).unwrap().count() > 0);
    assert!(String::from_utf8(place.read("run/config.toml")).unwrap().contains("\nmax_steps = 30\n"));
    let twice = place.run(&format!("train book.txt --out run {TINY}"));
    twice.fails(2, &["run already holds a run", "--resume", "--out"]);
}

#[test]
fn who_asks_for_bf16_is_told_where_it_does_not_pay() {
    let place = Place::new();
    let told = |more: &str| place.train(&format!("run{}", more.len()), more).stderr.contains("no instructions for");
    assert!(!told(""));
    assert_eq!(told("--precision bf16"), !elman_kernels::Isa::best().multiplies_pairs());
}

#[test]
fn the_same_seed_gives_the_same_files_on_any_number_of_threads_and_another_seed_others() {
    let place = Place::new();
    // Two blocks of sequences, so that there is something to share.
    let more = "--batch 32 --seq-len 8 --max-steps 12 --dropout 0.2 --layers 2";
    for threads in [1, 2, 4] {
        place.ok(&format!("train book.txt --out t{threads} --hidden 20 --seed 3 --threads {threads} {more} --quiet"));
    }
    for name in ["best.safetensors", "last.safetensors"] {
        let one = place.read(&format!("t1/{name}"));
        assert!(one == place.read(&format!("t2/{name}")) && one == place.read(&format!("t4/{name}")), "{name}");
    }
    place.ok(&format!("train book.txt --out other --hidden 20 --seed 4 --threads 1 {more} --quiet"));
    assert!(place.read("t1/best.safetensors") != place.read("other/best.safetensors"));
}

#[test]
fn every_task_trains_in_bf16_and_to_other_weights_than_in_f32() {
    let place = Place::new();
    let pairs: Vec<String> = (0..60).map(|i| format!("{} little words\n", i * 37 % 100)).collect();
    place.write("source.txt", pairs.concat());
    place.write("target.txt", pairs.concat());
    for task in [
        "language-model book.txt --hidden 16 --sample-length 0",
        "classify",
        "classify-text --hidden 16",
        "classify-sequence --hidden 16",
        "classify-frames --hidden 16",
        "translate --hidden 16 --source source.txt --target target.txt --units char --embedding 16",
    ] {
        let (name, more) = task.split_once(' ').unwrap_or((task, ""));
        let weights = |precision: &str| {
            let out = format!("{name}-{precision}");
            let settings = "--batch 8 --max-steps 2 --seed 1 --threads 1 --quiet";
            place.ok(&format!("train {more} --task {name} {settings} --precision {precision} --out {out}"));
            place.read(&format!("{out}/last.safetensors"))
        };
        assert!(weights("f32") != weights("bf16"), "{task}");
    }
    place.run("train book.txt --precision f16").fails(2, &["--precision f16", "bf16"]);
}

#[test]
fn json_events_go_to_standard_output_one_a_line() {
    let place = Place::new();
    let run = place.train("run", "--json");
    assert_eq!(run.stderr, "");
    let events: Vec<serde_json::Value> =
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"))).collect();
    assert_eq!(events[0]["event"], "start");
    assert_eq!(events[0]["seed"], 1);
    assert!(events.iter().any(|e| e["event"] == "record" && e["val"]["val_nats"].is_number()));
    assert!(events.iter().any(|e| e["event"] == "sample" && e["text"].is_string()));
    let end = events.iter().find(|e| e["event"] == "end").unwrap();
    assert_eq!(end["ending"], "complete");
    assert_eq!(events.last().unwrap()["event"], "advice");
}

#[test]
fn quiet_prints_nothing() {
    let place = Place::new();
    let run = place.train("run", "--quiet");
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
}

#[test]
fn flags_go_before_the_environment_that_before_the_file_that_before_the_preset() {
    let place = Place::new();
    let config = place.ok("init --preset min-char-rnn").stdout;
    assert!(config.contains("\nhidden = 100\n") && config.contains("\noptimizer = \"adagrad\"\n"), "{config}");
    let book = place.path("book.txt").display().to_string();
    let config = config.replace("file = \"\"", &format!("file = '{book}'")).replace("hidden = 100", "hidden = 9");
    place.write("my.toml", &config);
    let words = "train my.toml --out run --quiet --max-steps 2 -s seq_len=12";
    let mut command = place.command(words);
    let output = command.env("ELMAN_BATCH", "3").env("ELMAN_MAX_STEPS", "7").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let config = String::from_utf8(place.read("run/config.toml")).unwrap();
    for line in ["hidden = 9", "batch = 3", "max_steps = 2", "seq_len = 12", "optimizer = \"adagrad\""] {
        assert!(config.contains(&format!("\n{line}\n")), "{line} is not in {config}");
    }
}

#[test]
fn a_validation_file_of_its_own_leaves_the_whole_text_to_learn_from() {
    let place = Place::new();
    place.write("held.txt", "The quick fox jumps over 12 lazy dogs.\n");
    let run = place.train("run", "--val held.txt");
    assert!(run.stderr.contains("39 validation characters"), "{run:?}");
    place.write("other.txt", "Ünknown");
    let run = place.run(&format!("train book.txt --out run2 {TINY} --val other.txt"));
    run.fails(3, &["other.txt", "'Ü'"]);
}

#[test]
fn every_cell_optimizer_and_schedule_trains() {
    let place = Place::new();
    let best = |name: &str| {
        let text = String::from_utf8(place.read(&format!("{name}/metrics.jsonl"))).unwrap();
        let nats = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["train_nats"].as_f64();
        let all: Vec<f64> = text.lines().filter_map(nats).collect();
        (all[0], *all.last().unwrap())
    };
    let mut runs = Vec::new();
    for cell in ["lstm", "lstm-peephole", "gru", "gru-reset-before", "rnn-tanh", "rnn-relu"] {
        runs.push((cell.to_string(), format!("--cell {cell}")));
    }
    for (optimizer, lr) in [("sgd", 1.0), ("adagrad", 0.1), ("rmsprop", 0.01), ("adam", 0.02), ("adamw", 0.02)] {
        runs.push((optimizer.to_string(), format!("--optimizer {optimizer} --lr {lr}")));
    }
    for schedule in ["constant", "step", "exponential", "cosine", "plateau"] {
        runs.push((schedule.to_string(), format!("--schedule {schedule} --lr 0.02")));
    }
    runs.push(("more".into(), "--accumulate 3 --average 0.9 --embedding 8 --tied --clip-value 0.5 --lr 0.02".into()));
    runs.push(("bytes".into(), "--bytes --layers 2 --lr 0.02".into()));
    for (name, more) in runs {
        let lr = if more.contains("--lr") { "" } else { "--lr 0.02" };
        place.train(&name, &format!("{more} {lr} --max-steps 60 --warmup 0 --val-every 30 --quiet"));
        let (first, last) = best(&name);
        assert!(last < first - 0.1, "{name}: from {first} to {last}");
    }
}

#[test]
fn early_stopping_ends_a_run_that_gets_no_better() {
    let place = Place::new();
    let run =
        place.train("run", "--lr 1e-9 --warmup 0 --val-every 1 --patience 2 --weight-decay 0 --json --max-steps 500");
    assert!(run.stdout.contains("\"ending\":\"noprogress\""), "{run:?}");
    assert!(run.stdout.lines().count() < 200);
}
