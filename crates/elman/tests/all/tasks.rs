//! The table of tasks: what each reads is declared, and nothing else is accepted.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use elman::Error;
use elman::settings::{KEYS, Settings};
use elman::task::{COMMON, Evaluate, Predict, TASKS, Task};

/// Another valid value of a setting.
fn another(settings: &Settings, key: &str) -> String {
    let value = settings.get(key);
    let word = match key {
        "cell" => ["lstm", "gru"],
        "attention" => ["dot", "additive"],
        "pooling" => ["last", "mean"],
        "class_weights" => ["balanced", "equal"],
        "init" => ["orthogonal", "pytorch"],
        "level" => ["char", "word"],
        "units" => ["char", "word"],
        "header" | "refit" => ["yes", "no"],
        "keep" => ["last", "best"],
        "standardize" => ["series", "all"],
        "optimizer" => ["sgd", "adam"],
        "schedule" => ["constant", "cosine"],
        "precision" => ["bf16", "f32"],
        "max_time" | "checkpoint_every" => ["7s", "8s"],
        "convs" | "dense" => ["3", "4"],
        _ if value == "true" || value == "false" => ["true", "false"],
        _ if value.parse::<u64>().is_ok() => ["1", "2"],
        _ if value.parse::<f64>().is_ok() => ["0.125", "0.25"],
        _ => ["one", "two"],
    };
    word.into_iter().find(|word| *word != value).unwrap().into()
}

#[test]
fn a_setting_that_a_task_does_not_read_is_refused_and_its_readers_are_named() {
    let mut pairs = 0;
    for task in &TASKS {
        for key in KEYS.iter().filter(|key| !task.is_read(key.name)) {
            let mut settings = Settings::for_task(task.name).unwrap();
            settings.set(key.name, &another(&settings, key.name)).unwrap_or_else(|e| panic!("{}: {e}", key.name));
            let error = match elman::task::plan(settings) {
                Err(error) => error,
                Ok(_) => panic!("{}: {} was accepted", task.name, key.name),
            };
            let Error::Unread { key: refused, readers, task: of, .. } = &error else { panic!("{error}") };
            assert_eq!((refused.as_str(), of.as_str()), (key.name, task.name));
            assert!(!readers.is_empty(), "{}: nobody reads it", key.name);
            assert!(readers.iter().all(|reader| error.to_string().contains(reader)), "{error}");
            assert!(task.check_read(key.name, "x").unwrap_err().to_string().contains("read"));
            pairs += 1;
        }
    }
    assert!(pairs > 250, "only {pairs} pairs");
}

#[test]
fn options_of_evaluations_and_predictions_are_refused_by_tasks_that_do_not_read_them() {
    let evaluate = Evaluate {
        split: Some("dev".into()),
        mistakes: Some(1),
        curves: Some(true),
        from: Some(0.5),
        dynamic: Some(true),
        dynamic_lr: Some(0.1),
        dynamic_decay: Some(0.1),
        skip_unseen: Some(true),
        beam: Some(2),
        length_penalty: Some(1.0),
        coverage_penalty: Some(0.5),
        no_repeat_ngram: Some(2),
        min_length: Some(2),
    };
    let predict = Predict {
        label_column: Some("a".into()),
        sequence_column: Some("a".into()),
        explain: Some(true),
        nbest: Some(2),
        attention: Some(true),
        encoder: Some("a.onnx".into()),
        beam: Some(2),
        length_penalty: Some(1.0),
        coverage_penalty: Some(0.5),
        no_repeat_ngram: Some(2),
        min_length: Some(2),
    };
    assert_eq!(evaluate.given().len(), Evaluate::NAMES.len());
    assert_eq!(predict.given().len(), Predict::NAMES.len());
    for task in &TASKS {
        for (name, value) in evaluate.given() {
            let refused = task.check_evaluate_option(name, &value);
            assert_eq!(refused.is_ok(), task.evaluate.contains(&name), "{}: {name}", task.name);
        }
        for (name, value) in predict.given() {
            let refused = task.check_predict(&Predict::default(), &[(name, value)]);
            assert_eq!(refused.is_ok(), task.predict.contains(&name), "{}: {name}", task.name);
        }
        assert!(matches!(task.check_evaluate(&evaluate), Err(Error::Unread { .. })), "{}", task.name);
        assert!(matches!(task.check_predict(&predict, &[]), Err(Error::Unread { .. })), "{}", task.name);
    }
}

/// The module of a task.
fn module_of(task: &Task) -> String {
    match task.name {
        "regress" => "classify".into(),
        "regress-sequence" => "classify_sequence".into(),
        name => name.replace('-', "_"),
    }
}

/// The sources of a task: its file and its folder.
fn files_of(module: &str) -> Vec<PathBuf> {
    let tasks = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/task");
    let mut files = vec![tasks.join(format!("{module}.rs"))];
    let folder = tasks.join(module);
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        let (inner, of_folder): (Vec<PathBuf>, Vec<PathBuf>) =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).partition(|path| path.is_dir());
        folders.extend(inner);
        files.extend(of_folder);
    }
    files
}

/// The code of files without comments, tests and the functions that make defaults.
fn code(files: &[PathBuf]) -> String {
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
        let mut is_default = false;
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            is_default |= line.starts_with("fn defaults(") || line.starts_with("pub const ");
            if !is_default {
                all.push_str(line);
                all.push('\n');
            }
            is_default &= line != "}" && !line.ends_with("};");
        }
    }
    all
}

/// The settings that code reads: as fields of settings, by taking settings apart, or by a method that reads several.
fn read_by(code: &str) -> BTreeSet<&'static str> {
    let methods: [(&str, &[&str]); 9] = [
        ("choice()", &["ignore", "use_columns", "rules"]),
        ("hold_out()", &["seed", "val_frac", "folds", "fold"]),
        ("form()", &["header", "encoding", "skip_bad"]),
        ("encoding()", &["encoding"]),
        ("scaled_size()", &["image_size"]),
        ("memory_limit()", &["memory_limit"]),
        ("sampler()", &["temperature"]),
        ("beam_config()", &["beam", "length_penalty", "coverage_penalty", "no_repeat_ngram"]),
        ("weights_of_classes(", &["class_weights"]),
    ];
    let mut read = BTreeSet::new();
    for key in KEYS {
        let is_field = ["settings", "s", "data"].iter().any(|owner| {
            let field = format!("{owner}.{}", key.name);
            code.match_indices(&field).any(|(at, _)| {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                let after = code[at + field.len()..].chars().next().unwrap_or(' ');
                !before.is_alphanumeric() && before != '_' && !after.is_alphanumeric() && after != '_' && after != '('
            })
        });
        let taken_apart =
            code.match_indices("let Settings {").chain(code.match_indices("(Settings {")).any(|(at, _)| {
                let inside = code[at..].split_once('{').unwrap().1.split('}').next().unwrap();
                inside.split(',').any(|name| name.split(':').next().unwrap().trim() == key.name)
            });
        if is_field || taken_apart {
            read.insert(key.name);
        }
    }
    for (method, keys) in methods {
        if code.contains(&format!(".{method}")) {
            read.extend(keys);
        }
    }
    read
}

#[test]
fn a_task_reads_only_what_it_declares_and_declares_only_what_it_reads() {
    for task in &TASKS {
        let module = module_of(task);
        let own = code(&files_of(&module));
        let used = read_by(&own);
        let of = |names: &[&str]| TASKS.iter().filter(|task| names.contains(&task.name)).collect();
        let of_module: Vec<&Task> = match module.as_str() {
            "classify" => of(&["classify", "regress"]),
            "classify_sequence" => of(&["classify-sequence", "regress-sequence"]),
            _ => vec![task],
        };
        for key in &used {
            let declared = of_module.iter().any(|task| task.is_read(key));
            assert!(declared, "{}: its files read `{key}`, which its row does not declare", task.name);
        }
        let mut shared = used;
        for part in ["supervised", "writing", "plan"] {
            if part == "plan" || own.contains(&format!("super::{part}::")) {
                shared.extend(read_by(&code(&files_of(part))));
            }
        }
        // Some settings are read by their names.
        shared.extend(KEYS.iter().map(|key| key.name).filter(|name| own.contains(&format!("\"{name}\""))));
        for key in task.reads {
            assert!(shared.contains(key), "{}: its row declares `{key}`, which nothing reads", task.name);
            assert!(KEYS.iter().any(|known| known.name == *key), "{key}");
        }
        for key in task.data.iter().chain(task.eval_data) {
            assert!(task.reads.contains(key), "{}: {key}", task.name);
        }
    }
    assert!(COMMON.iter().all(|key| KEYS.iter().any(|known| known.name == *key)));
}

#[test]
fn the_files_of_a_task_name_no_other_task() {
    let modules: BTreeSet<String> = TASKS.iter().map(module_of).collect();
    for module in &modules {
        let code = code(&files_of(module));
        for other in modules.iter().filter(|other| *other != module) {
            for path in [format!("super::{other}::"), format!("task::{other}::")] {
                assert!(!code.contains(&path), "{module} names {other}");
            }
        }
    }
}

#[test]
fn a_config_of_a_task_holds_what_it_reads_and_little_else_gets_its_defaults() {
    for task in &TASKS {
        let settings = Settings::for_task(task.name).unwrap();
        let text = settings.to_toml().unwrap();
        let path = Path::new("config.toml");
        let read = Settings::from_toml(&text, path).unwrap();
        for key in KEYS {
            assert_eq!(
                text.contains(&format!("\n{} = ", key.name)),
                task.is_read(key.name),
                "{}: {}",
                task.name,
                key.name
            );
        }
        let given = task.data[0];
        let short = format!("task = \"{}\"\n{given} = \"x\"\nlr = 0.5\n", task.name);
        let mut want = settings.clone();
        want.lr = 0.5;
        want.set(given, "x").unwrap();
        assert_eq!(Settings::from_toml(&short, path).unwrap(), want, "{}", task.name);
        let differs = KEYS.iter().find(|key| task.is_read(key.name) && read.get(key.name) != settings.get(key.name));
        assert!(differs.is_none(), "{}: {differs:?}", task.name);
    }
}
