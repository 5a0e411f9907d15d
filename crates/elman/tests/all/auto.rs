//! What is left to the data: settings of `auto`, the second training, rules of earlier versions.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use elman::settings::{Auto, Keep, Settings, Whether};
use elman::task::{Plan, Start};
use elman::train::{Event, RunFolder};

#[test]
fn auto_is_a_word_in_files_and_on_the_command_line() {
    let mut settings = Settings::for_task("classify").unwrap();
    assert_eq!((settings.get("batch"), settings.batch.is_auto()), ("auto".into(), true));
    settings.set("batch", "12").unwrap();
    settings.set("dropout", "0.25").unwrap();
    let text = settings.to_toml().unwrap();
    assert!(text.contains("\nbatch = 12\n") && text.contains("\nepochs = \"auto\"\n"), "{text}");
    assert_eq!(Settings::from_toml(&text, Path::new("x.toml")).unwrap(), settings);
    settings.set("batch", "auto").unwrap();
    assert!(settings.batch.is_auto());
    for wrong in ["many", "-3", "1.5", "1e400"] {
        assert!(settings.set("batch", wrong).is_err(), "{wrong}");
    }
    assert!(settings.set("dropout", "inf").is_err() && settings.set("patience", "auto").is_err());
    let mut settings = Settings::for_task("translate").unwrap();
    settings.set("hidden", "auto").unwrap();
    let error = settings.resolve().unwrap_err().to_string();
    assert!(error.contains("the task translate has no rule for it"), "{error}");
}

/// Thirty rows that a line parts.
fn rows(folder: &Path) -> String {
    let path = folder.join("rows.csv");
    let row = |i: usize| format!("{},{},{}\n", i % 7, i * 5 % 11, if i % 7 + i * 5 % 11 > 8 { "up" } else { "down" });
    std::fs::write(&path, format!("a,b,class\n{}", (0..30).map(row).collect::<String>())).unwrap();
    path.to_str().unwrap().into()
}

/// The last checkpoint and the best model of a run in `path` that is stopped after so many updates each time, and goes on.
fn stopped(plan: &dyn Plan, path: &Path, stops: &[u64]) -> [Vec<u8>; 2] {
    let mut resume = false;
    for &at in stops.iter().chain([&u64::MAX]) {
        let folder = match resume {
            true => RunFolder::open(path).unwrap(),
            false => RunFolder::create(path, &plan.settings().to_toml().unwrap()).unwrap(),
        };
        let mut session = plan.session(Start { resume, ..Start::new(folder) }).unwrap();
        let stop = AtomicBool::new(false);
        let mut steps = session.progress().step;
        session
            .run(&stop, &mut |event| {
                steps += u64::from(matches!(event, Event::Step { .. }));
                stop.store(steps >= at, Ordering::Relaxed);
            })
            .unwrap();
        resume = true;
    }
    ["last.safetensors", "best.safetensors"].map(|name| std::fs::read(path.join(name)).unwrap())
}

/// What a finished run says of its model: updates, and measures.
fn trained(run: &Path) -> serde_json::Value {
    let model = elman::format::model::load(&run.join("best.safetensors")).unwrap();
    model.document.config()["trained"].clone()
}

#[test]
fn a_second_training_stopped_and_resumed_ends_at_the_same_bits() {
    let place = tempfile::tempdir().unwrap();
    let mut settings = Settings::for_task("classify").unwrap();
    (settings.file, settings.label_column, settings.max_steps) = (rows(place.path()), "class".into(), 40);
    let plan = elman::task::plan(settings).unwrap();
    assert_eq!((plan.settings().keep, plan.settings().refit), (Keep::Last, Whether::Yes));
    let [whole, parts] = ["whole", "parts"].map(|name| place.path().join(name));
    let same = stopped(&*plan, &whole, &[]) == stopped(&*plan, &parts, &[17, 40, 55]);
    assert!(same, "a stop in each training and between them");
    // As many updates again, and its measure is that of the examples that were held out of the first.
    let trained = trained(&whole);
    assert_eq!(trained["steps"], 80);
    let records = elman::train::run_folder::read_metrics(&whole.join("metrics.jsonl")).unwrap();
    let mut held_out = records.iter().filter_map(|record| record.val("val_accuracy").map(|value| (record.step, value)));
    let (step, last) = held_out.next_back().unwrap();
    assert_eq!((step, &trained["val"]["val_accuracy"]), (40, &serde_json::json!(last)));
}

#[test]
fn noise_of_few_series_is_not_learned_by_heart_and_what_is_held_out_is_learned_from_as_long_as_was_best() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("noise.csv");
    // Neither series nor numbers say anything of one another.
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    let mut row = || (0..13).map(|_| format!("{:.3}", next())).collect::<Vec<_>>().join(",") + "\n";
    let header = (0..12).map(|i| format!("t{i},")).collect::<String>();
    std::fs::write(&path, format!("{header}label\n{}", (0..80).map(|_| row()).collect::<String>())).unwrap();
    let mut settings = Settings::for_task("regress-sequence").unwrap();
    (settings.file, settings.max_steps) = (path.to_str().unwrap().into(), 200);
    let plan = elman::task::plan(settings.clone()).unwrap();
    let s = plan.settings();
    assert_eq!((s.val_frac, s.keep, s.refit), (0.25, Keep::Best, Whether::Yes));
    let [whole, parts] = ["whole", "parts"].map(|name| place.path().join(name));
    let same = stopped(&*plan, &whole, &[]) == stopped(&*plan, &parts, &[90, 205]);
    assert!(same, "a stop in each training");
    let records = elman::train::run_folder::read_metrics(&whole.join("metrics.jsonl")).unwrap();
    let best = records.iter().rfind(|record| record.best).unwrap();
    let trained = trained(&whole);
    assert!(best.step < 200, "a noise is not learned to the end: {}", best.step);
    assert_eq!(trained["steps"], 200 + best.step);
    assert_eq!(trained["val"]["val_rmse"], serde_json::json!(best.val("val_rmse").unwrap()));
    // What is said beforehand is what is given.
    (settings.keep, settings.val_frac) = (Keep::Last, 0.1);
    let plan = elman::task::plan(settings).unwrap();
    assert_eq!((plan.settings().val_frac, plan.settings().keep), (0.1, Keep::Last));
}

#[test]
fn a_run_of_version_0_1_goes_on_by_its_rules() {
    let old = "task = \"classify-sequence\"\nfile = \"x.csv\"\nbatch = 64\nepochs = 12.0\nhidden = 32\nlayers = 1\n";
    let settings = Settings::of_run(old, Path::new("config.toml")).unwrap();
    assert_eq!((settings.rules, settings.keep, settings.refit), (1, Keep::Best, Whether::No));
    assert_eq!((settings.window, settings.stride, settings.batch), (1, 1, 64));
    let new = format!("{old}rules = 2\nwindow = 16\n");
    assert_eq!(Settings::of_run(&new, Path::new("config.toml")).unwrap().window, 16);
}

#[test]
fn a_small_linear_table_is_learned_as_a_linear_model_would() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, rows: std::ops::Range<usize>| {
        let row = |i: usize| {
            // Most are small, a few large.
            let of = |step: usize| ((i * step % 101) as f64 / 100.0).powi(4) * 100.0;
            let (a, b, c) = (of(37), of(53), of(71));
            format!("{a:.3},{b:.3},{c:.3},{:.3}\n", 3.0 * a - 2.0 * b + c)
        };
        let path = place.path().join(name);
        std::fs::write(&path, format!("a,b,c,y\n{}", rows.map(row).collect::<String>())).unwrap();
        path.to_str().unwrap().to_string()
    };
    let mut settings = Settings::for_task("regress").unwrap();
    (settings.file, settings.label_column) = (write("train.csv", 0..30), "y".into());
    let network = |rules| elman::task::plan(Settings { rules, ..settings.clone() }).unwrap().summary().network.clone();
    assert!(network(settings.rules).ends_with("beside a linear map of the inputs"));
    assert_eq!(network(1), "dense 64", "a run of version 0.1 goes on with its own network");
    let run = elman::train(settings.clone(), place.path().join("run")).unwrap();
    settings.file = write("test.csv", 30..100);
    let found = run.model.evaluate(&settings, &Default::default(), &mut |_, _| true).unwrap();
    let r2 = found.get("r2").unwrap();
    assert!(r2 > 0.98, "{r2}");
}

#[test]
fn targets_with_a_heavy_tail_are_learned_to_the_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("tail.csv");
    let row = |i: usize| {
        let u = ((i * 7919 % 600) as f64 + 0.5) / 600.0;
        let (a, b) = ((i * 31 % 100) as f64 / 100.0, (i * 57 % 100) as f64 / 100.0);
        format!("{a:.2},{b:.2},{:.1}\n", 100.0 * (1.0 + a) * (-(1.0 - u).ln() / 1.2).exp())
    };
    std::fs::write(&path, format!("a,b,loss\n{}", (0..600).map(row).collect::<String>())).unwrap();
    for seed in 1..=4 {
        let mut settings = Settings::for_task("regress").unwrap();
        (settings.file, settings.label_column, settings.seed) = (path.to_str().unwrap().into(), "loss".into(), seed);
        settings.max_steps = 150;
        let plan = elman::task::plan(settings).unwrap();
        assert!(
            plan.settings().huber == 3.0 && plan.summary().notes.iter().any(|note| note.contains("`huber`")),
            "{seed}"
        );
        let mut session = plan.session(Start::default()).unwrap();
        session.run(&AtomicBool::new(false), &mut |_| {}).unwrap();
        assert_eq!((session.progress().step, session.progress().rollbacks), (150, 0));
    }
}
