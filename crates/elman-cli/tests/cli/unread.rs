//! What a task does not read is refused wherever it is given, with the name of a task that does; and neither help nor
//! `init` list it.

use std::collections::BTreeSet;

use elman::cell::CellKind;
use elman::settings::{KEYS, Key};
use elman::task::{TASKS, Task};

use crate::place::{Place, Run, TINY};

/// The settings that are flags and that a task does not read, though another does.
fn unread(task: &Task) -> impl Iterator<Item = &'static Key> {
    let flags = KEYS.iter().filter(|key| key.name != "file");
    flags.filter(move |key| !task.is_read(key.name) && !Task::readers(key.name).is_empty())
}

fn with_variable(place: &Place, words: &str, name: &str, value: &str) -> Run {
    Run::of(words, place.command(words).env(name, value).output().unwrap())
}

#[test]
fn a_flag_that_the_task_does_not_read_is_refused_whatever_its_value() {
    let place = Place::new();
    for (i, task) in TASKS.iter().enumerate() {
        // Some of them for each task, others for the next; the library's tests go through all.
        for key in unread(task).skip(i).step_by(7) {
            let run = place.run(&format!("train --task {} --out run {}=1", task.name, key.flag()));
            let parts = [&format!("{} 1: only ", key.flag()), Task::readers(key.name)[0], "the task is", task.name];
            run.fails(2, &parts);
            assert!(!place.path("run").exists());
        }
    }
}

#[test]
fn the_environment_s_files_and_config_files_are_refused_alike() {
    let place = Place::new();
    let reader = ["classify-frames", "the task is language-model"];
    let words = format!("train book.txt --out run {TINY}");
    with_variable(&place, &words, "ELMAN_LOOKAHEAD", "0")
        .fails(2, &[&["ELMAN_LOOKAHEAD 0: only "], &reader[..]].concat());
    place.run(&format!("{words} -s lookahead=0")).fails(2, &[&["--lookahead 0: only "], &reader[..]].concat());
    place.write("my.toml", format!("file = '{}'\nlookahead = 9\n", place.path("book.txt").display()));
    place.run(&format!("train my.toml --out run {TINY}")).fails(2, &[&["--lookahead 9: only "], &reader[..]].concat());
    place.run("check-data book.txt --lookahead 9").fails(2, &["--lookahead 9", reader[0]]);
    place.run("check-data my.toml").fails(2, &["--lookahead 9", reader[0]]);
    place.run("train book.txt --task caption --out run").fails(2, &["file book.txt: only ", "task is caption"]);
    place.run("train --task classify --preset quick --out run").fails(2, &["--preset quick", "language-model"]);
    place.run("init classify --preset quick").fails(2, &["--preset quick", "language-model"]);
    place.run("train book.txt --folds 3 --out run").fails(2, &["--folds 3", "classify", "none is named (--task)"]);
    assert!(!place.path("run").exists());
    // A file of version 0.1 holds the settings of all tasks, those that are not read at their defaults.
    place.write("my.toml", format!("file = '{}'\nlookahead = 0\naverage = 0.5\n", place.path("book.txt").display()));
    place.ok(&format!("train my.toml --out run {TINY} --quiet"));
    assert!(String::from_utf8(place.read("run/config.toml")).unwrap().contains("\nema_decay = 0.5\n"));
}

#[test]
fn a_variable_that_is_not_a_setting_is_told_and_old_names_are_understood() {
    let place = Place::new();
    let words = format!("train book.txt --out run {TINY} --quiet --lr-min 0.5");
    let output = place.command(&words).env("ELMAN_HIDEN", "24").env("ELMAN_AVERAGE", "0.25").output().unwrap();
    let run = Run::of(&words, output);
    assert_eq!((run.code, run.stderr.lines().count()), (0, 1), "{run:?}");
    assert!(run.stderr.contains("ELMAN_HIDEN is not a setting; did you mean ELMAN_HIDDEN?"), "{run:?}");
    let config = String::from_utf8(place.read("run/config.toml")).unwrap();
    assert!(config.contains("\nema_decay = 0.25\n") && config.contains("\nmin_lr_ratio = 0.5\n"), "{config}");
}

#[test]
fn options_of_eval_and_predict_that_the_model_does_not_read_are_refused() {
    let place = Place::new();
    place.train("text", "--quiet");
    place.ok("train --task classify-sequence --out series --max-steps 2 --hidden 4 --quiet");
    let (text, series) = ("text/best.safetensors", "series/best.safetensors");
    for (flag, reader) in [
        ("--mistakes 3", "classify-text"),
        ("--split dev", "classify"),
        ("--source book.txt", "translate"),
        ("--captions book.txt", "caption"),
        ("--beam 2", "translate"),
        ("--label-column 1", "classify"),
    ] {
        place.run(&format!("eval {text} book.txt {flag}")).fails(2, &[flag, reader, "task is language-model"]);
    }
    for (flag, reader) in [
        ("--dynamic", "language-model"),
        ("--from 0.5", "language-model"),
        ("--skip-unseen", "language-model"),
        ("--dynamic-lr 0.5", "language-model"),
        ("--source book.txt", "translate"),
        ("--text-column 1", "classify-text"),
        ("--ensemble text/best.safetensors", "translate"),
    ] {
        place.run(&format!("eval {series} book.txt {flag}")).fails(2, &[flag, reader, "task is classify-sequence"]);
    }
    for (flag, reader) in [
        ("--explain", "classify-text"),
        ("--beam 2", "translate"),
        ("--nbest 2", "caption"),
        ("--frames", "classify-frames"),
        ("--raw", "classify-frames"),
        ("--scores", "translate"),
        ("--attention a.html", "caption"),
        ("--encoder x.onnx", "caption"),
        ("--ensemble series/best.safetensors", "translate"),
        ("--text-column 1", "classify-text"),
    ] {
        let flag_name = flag.split(' ').next().unwrap();
        let run = place.run(&format!("predict {series} book.txt {flag}"));
        run.fails(2, &[flag_name, reader, "task is classify-sequence"]);
    }
    place.run(&format!("predict {text} word")).fails(2, &["this is a language model; use `elman sample`"]);
}

/// The settings whose flags a help text lists.
fn listed(help: &str) -> BTreeSet<&'static str> {
    let flags = help.lines().filter_map(|line| {
        let line = line.trim_start().strip_prefix("--")?;
        Key::find(line.split([' ', '[', '=']).next()?)
    });
    flags.map(|key| key.name).collect()
}

#[test]
fn help_and_init_list_what_the_task_reads_with_its_defaults() {
    let place = Place::new();
    for task in TASKS {
        let read = |key: &&Key| task.is_read(key.name);
        let mut want: BTreeSet<&str> = KEYS.iter().filter(read).map(|key| key.name).collect();
        let toml = place.ok(&format!("init {}", task.name)).stdout;
        let keys = toml.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
        assert_eq!(keys.filter(|key| !key.starts_with('#')).collect::<BTreeSet<_>>(), want, "{}", task.name);
        want.remove("file");
        for words in [format!("train --task {} --help", task.name), format!("check-data --task={} -h", task.name)] {
            let help = place.ok(&words).stdout;
            assert_eq!(listed(&help), want, "{words}");
            let settings = (task.defaults)(elman::settings::Data::Given);
            let lr = format!("Peak learning rate. [default: {}]", settings.get("lr"));
            assert!(help.split_whitespace().collect::<Vec<_>>().join(" ").contains(&lr), "{lr} is not in {help}");
        }
    }
    let by_variable = with_variable(&place, "train --help", "ELMAN_TASK", "caption");
    assert!(listed(&by_variable.stdout).contains("feature_dropout"), "{by_variable:?}");
    let plain = place.ok("train --help").stdout;
    assert!(plain.contains("elman train --task TASK --help") && !listed(&plain).contains("lookahead"), "{plain}");
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(TASKS.iter().all(|task| words.contains(&format!("{} {}", task.name, task.about))), "{plain}");
    assert!(words.contains(&CellKind::ALL.map(CellKind::name).join(", ")), "{plain}");
}
