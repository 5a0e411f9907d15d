//! Wrong use: one line that says what was wrong and what to do, the right exit code, nothing lost.

use crate::place::{Place, TINY, text};

#[test]
fn texts_that_cannot_be_learnt_from_are_refused_with_the_reason() {
    let place = Place::new();
    place.write("empty.txt", "");
    place.write("short.txt", "short");
    place.write("latin.txt", b"fine\nna\xefve\n");
    std::fs::create_dir(place.path("folder")).unwrap();
    let train = |file: &str| place.run(&format!("train {file} --out run {TINY}"));
    train("absent.txt").fails(3, &["absent.txt", "no such file"]);
    train("folder").fails(3, &["folder", "is a folder without files"]);
    train("empty.txt").fails(3, &["empty.txt", "empty"]);
    train("short.txt").fails(3, &["short.txt", "--val-frac"]);
    train("latin.txt")
        .fails(3, &["latin.txt", "line 2: byte 0xEF at character 3", "CP1252", "naïve", "--encoding windows-1252"]);
    assert!(!place.path("run").exists(), "a run that could not begin left a folder");
    place.write("latin.txt", b"fine\nna\xefve\n".repeat(40));
    place.ok(&format!("train latin.txt --bytes --out run {TINY} --quiet"));
}

#[cfg(unix)]
#[test]
fn files_and_folders_that_may_not_be_touched_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let run = place.run(&format!("train book.txt --out /proc/none/run {TINY}"));
    run.fails(6, &["/proc/none/run"]);
    place.write("taken", "a file, no folder");
    place.run(&format!("train book.txt --out taken/run {TINY}")).fails(6, &["taken"]);
    // Root may read everything; others may not.
    place.write("secret.txt", text());
    std::fs::set_permissions(place.path("secret.txt"), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(place.path("secret.txt")).is_err() {
        place.run(&format!("train secret.txt --out run {TINY}")).fails(3, &["secret.txt"]);
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_the_flag() {
    let place = Place::new();
    for (flag, parts) in [
        ("--hidden 0", &["--hidden 0", "at least 1"][..]),
        ("--layers 0", &["--layers 0", "at least 1"]),
        ("--lr nan", &["--lr nan", "number"]),
        ("--lr -1", &["--lr -1"]),
        ("--lr 0", &["--lr 0"]),
        ("--batch 0", &["--batch 0"]),
        ("--dropout 1", &["--dropout 1"]),
        ("--cell lstn", &["--cell lstn", "lstm"]),
        ("--max-time 10", &["--max-time 10", "10m"]),
        ("--val-frac 0", &["--val-frac 0"]),
        ("--temperature -1", &["--temperature -1"]),
        ("--preset best", &["best", "min-char-rnn"]),
        ("-s hiden=3", &["hiden", "did you mean `hidden`"]),
        ("-s hidden", &["KEY=VALUE"]),
        ("--task translation", &["--task translation", "language-model"]),
    ] {
        place.run(&format!("train book.txt --out run {flag}")).fails(2, parts);
        assert!(!place.path("run").exists(), "{flag}");
    }
}

#[test]
fn an_unknown_option_is_answered_with_the_nearest_one() {
    let place = Place::new();
    place.run("train book.txt --hiden 3").fails(2, &["--hiden", "'--hidden'"]);
    place.run("trian book.txt").fails(2, &["'trian'", "'train'"]);
    place.run("eval").fails(2, &["MODEL"]);
    place.run("sample --length many").fails(2, &["many", "--length"]);
}

#[test]
fn unknown_keys_of_a_config_are_answered_with_line_and_suggestion() {
    let place = Place::new();
    place.write("my.toml", "seed = 1\nclipnorm = 2\n");
    place.run("train my.toml --out run").fails(3, &["my.toml", "line 2", "did you mean `clip_norm`"]);
    place.write("my.toml", "seed = \n");
    place.run("train my.toml --out run").fails(3, &["my.toml", "line 1"]);
}

#[test]
fn sampling_with_what_cannot_be_is_refused() {
    let place = Place::new();
    place.train("run", "--quiet");
    let sample = |more: &str| place.run(&format!("sample run/best.safetensors {more}"));
    sample("--temperature -1").fails(2, &["--temperature -1"]);
    sample("--temperature nan").fails(2, &["--temperature"]);
    sample("--top-p 0").fails(2, &["--top-p 0"]);
    sample("--min-p 2").fails(2, &["--min-p 2"]);
    sample("--beam 0").fails(2, &["--beam 0"]);
    sample("--beam 2 --temperature 1").fails(2, &["--beam", "--temperature"]);
    sample("--beam 2 --stop ab").fails(2, &["--stop ab", "one token"]);
    sample("--prompt Ünseen").fails(2, &["'Ü'", "--skip-unseen"]);
    assert_eq!(sample("--prompt Ünseen --skip-unseen --length 1 --seed 1").code, 0);
    place.run("eval run/best.safetensors book.txt --from 1").fails(2, &["--from 1"]);
    place.run("eval run/best.safetensors absent.txt").fails(3, &["absent.txt"]);
    place.write("other.txt", "Ünknown symbols");
    place.run("eval run/best.safetensors other.txt").fails(3, &["other.txt", "'Ü'", "--skip-unseen"]);
}

#[test]
fn a_model_that_is_cut_changed_or_none_is_refused_by_every_command() {
    let place = Place::new();
    place.train("run", "--quiet");
    let model = place.read("run/best.safetensors");
    place.run("sample absent.safetensors").fails(4, &["absent.safetensors", "no such file"]);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run("sample empty").fails(4, &["is a folder"]);
    place.run("sample book.txt").fails(4, &["book.txt"]);
    for length in [0, 7, 100, model.len() / 2, model.len() - 1] {
        place.write("cut.safetensors", &model[..length]);
        place.run("sample cut.safetensors --length 3").fails(4, &["cut.safetensors"]);
    }
    for at in (0..model.len()).step_by(model.len() / 23) {
        let mut changed = model.clone();
        changed[at] ^= 1;
        place.write("changed.safetensors", &changed);
        for command in
            ["sample changed.safetensors", "eval changed.safetensors book.txt", "inspect changed.safetensors"]
        {
            place.run(command).fails(4, &["changed.safetensors"]);
        }
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::new();
    place.train("run", "--quiet");
    let elman = env!("CARGO_BIN_EXE_elman");
    for words in [
        "sample run/best.safetensors --length 20000 --seed 1",
        "init",
        "completions bash",
        "man",
        "inspect run/best.safetensors",
    ] {
        let script = format!("{elman} {words} | head -c 10 >/dev/null; exit ${{PIPESTATUS[0]}}");
        let output =
            std::process::Command::new("bash").args(["-c", &script]).current_dir(place.folder()).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked") && !stderr.contains("pipe"), "{words}: {stderr}");
    }
}
