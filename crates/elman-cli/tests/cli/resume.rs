//! A killed run goes on to the bits of one that was never stopped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::place::{Place, times};

/// A run of a second or so.
const RUN: &str = "--hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 300 --sample-length 20 --quiet";

/// Random numbers for the moments (splitmix64).
struct Moments(u64);

impl Moments {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    // Too late is well too: it has ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
}

/// Metrics without what depends on the clock.
fn metrics(place: &Place, run: &str) -> Vec<serde_json::Value> {
    let text = String::from_utf8(place.read(&format!("{run}/metrics.jsonl"))).unwrap();
    let without_clock = |line: &str| {
        let mut record: serde_json::Value = serde_json::from_str(line).unwrap();
        for key in ["targets_per_s", "elapsed_s", "saving_s", "unix_time"] {
            assert!(record.as_object_mut().unwrap().remove(key).is_some());
        }
        record
    };
    text.lines().map(without_clock).collect()
}

fn temporary_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.extend(temporary_files(&entry.path()));
        } else if name.contains(".tmp-") {
            found.push(name);
        }
    }
    found
}

fn same_run(place: &Place, one: &str, two: &str) {
    for name in ["best.safetensors", "last.safetensors"] {
        assert!(
            place.read(&format!("{one}/{name}")) == place.read(&format!("{two}/{name}")),
            "{name} of {two} differs"
        );
    }
    assert_eq!(metrics(place, one), metrics(place, two), "{two}");
    assert_eq!(temporary_files(&place.path(two)), [""; 0], "{two}");
}

/// Goes on with a run in whatever state a kill has left it; begins again where there was none yet.
fn go_on(place: &Place, run: &str, begin: &str) -> Command {
    if place.path(run).join("config.toml").exists() {
        place.command(&format!("train --resume {run} --quiet"))
    } else {
        place.command(begin)
    }
}

#[test]
fn a_run_killed_at_any_moment_ends_as_one_that_never_was() {
    let place = Place::new();
    let mut moments = Moments(1);
    for every in [20, 1] {
        place.ok(&format!("train book.txt --out whole{every} {RUN} --checkpoint-every {every}"));
    }
    same_run(&place, "whole20", "whole1");
    let (mut kills, mut in_a_save, mut before_config, mut left_behind) = (0, 0, 0, 0);
    let wanted = times("ELMAN_KILLS", 5);
    let mut n = 0;
    while kills < wanted {
        // Every other run does little but save.
        let every = if n % 2 == 0 { 20 } else { 1 };
        let run = format!("run{n}");
        let begin = format!("train book.txt --out {run} {RUN} --checkpoint-every {every}");
        n += 1;
        // Some are killed again while they go on.
        for _ in 0..=moments.below(3) {
            let mut child = spawn(go_on(&place, &run, &begin));
            if every == 1 {
                // Up to a second for the first temporary file; then at once or a little later.
                sleep(Duration::from_micros(moments.below(400_000)));
                let folder = place.path(&run);
                for _ in 0..20_000 {
                    if !temporary_files(&folder).is_empty() || child.try_wait().unwrap().is_some() {
                        break;
                    }
                }
            } else {
                sleep(Duration::from_micros(moments.below(500_000)));
            }
            if child.try_wait().unwrap().is_some() {
                break;
            }
            kill(child);
            kills += 1;
            let found = temporary_files(&place.path(&run)).len();
            in_a_save += usize::from(found > 0);
            left_behind += found;
            before_config += usize::from(!place.path(&run).join("config.toml").exists());
        }
        let output = go_on(&place, &run, &begin).output().unwrap();
        assert!(output.status.success(), "{run}: {output:?}");
        same_run(&place, &format!("whole{every}"), &run);
        std::fs::remove_dir_all(place.path(&run)).unwrap();
    }
    println!(
        "{kills} kills in {n} runs: {in_a_save} while a file was written ({left_behind} temporary files left and \
         removed), {before_config} before the settings were written; 0 folders unreadable"
    );
}

#[test]
fn a_run_cut_anywhere_has_one_result_on_any_number_of_threads() {
    cut_anywhere("--precision f32");
    cut_anywhere("--precision bf16");
}

fn cut_anywhere(precision: &str) {
    let place = Place::new();
    // Two blocks of sequences, so that there is something to share.
    let settings = format!(
        "--hidden 8 --batch 32 --seq-len 8 --seed 1 --max-steps 60 --checkpoint-every 7 --sample-length 20 --dropout 0.1 \
         --quiet {precision}"
    );
    place.ok(&format!("train book.txt --out whole {settings} --threads 1"));
    let mut moments = Moments(2);
    for (run, threads) in [1, 2, 4, 2, 1].into_iter().enumerate() {
        let run = format!("cut{run}");
        let begin = format!("train book.txt --out {run} {settings} --threads {threads}");
        let child = spawn(place.command(&begin));
        for _ in 0..10_000 {
            if place.path(&run).join("last.safetensors").exists() {
                break;
            }
            sleep(Duration::from_millis(1));
        }
        sleep(Duration::from_millis(moments.below(80)));
        kill(child);
        place.ok(&format!("train --resume {run} --threads {} --quiet", 5 - threads));
        same_run(&place, "whole", &run);
    }
}

#[test]
fn a_finished_run_says_so_and_stays_as_it_is() {
    let place = Place::new();
    place.train("run", "--max-steps 20");
    let names = ["best.safetensors", "last.safetensors", "previous.safetensors", "metrics.jsonl", "config.toml"];
    let files = || names.map(|name| place.read(&format!("run/{name}")));
    let before = files();
    let run = place.ok("train --resume run");
    assert!(run.stderr.contains("complete already, after 20 updates"), "{run:?}");
    assert!(before == files());
}

#[test]
fn other_data_another_folder_and_other_settings_are_refused() {
    let place = Place::new();
    place.train("run", "");
    let text = String::from_utf8(place.read("book.txt")).unwrap();
    place.write("book.txt", text.replacen("quick", "kciuq", 1));
    place.run("train --resume run --quiet").fails(3, &["last.safetensors", "other data"]);
    place.write("book.txt", &text);
    std::fs::create_dir(place.path("empty")).unwrap();
    place.run("train --resume empty").fails(3, &["empty", "holds no run", "elman train"]);
    place.run("train --resume missing").fails(3, &["missing", "holds no run"]);
    place.run("train --resume run --hidden 9").fails(2, &["--hidden", "--resume"]);
    place.ok("train --resume run --quiet");
}

#[test]
fn a_second_process_is_told_who_trains_there() {
    let place = Place::new();
    let child = spawn(place.command(&format!("train book.txt --out run {RUN} --max-steps 100000000")));
    let holder = child.id().to_string();
    for _ in 0..10_000 {
        if place.path("run/last.safetensors").exists() {
            break;
        }
        sleep(Duration::from_millis(1));
    }
    for _ in 0..20 {
        place.run("train --resume run").fails(1, &["run: process ", &format!(" {holder} ")]);
    }
    kill(child);
}

#[test]
fn a_damaged_checkpoint_is_refused_with_the_part_and_the_way_out() {
    let place = Place::new();
    place.train("run", "--checkpoint-every 10");
    let good = place.read("run/last.safetensors");
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let bad = [flipped, good[..good.len() - 1].to_vec(), good[..20].to_vec(), Vec::new(), [&good[..], b"x"].concat()];
    for bad in bad {
        place.write("run/last.safetensors", bad);
        let run = place.run("train --resume run --quiet");
        run.fails(4, &["last.safetensors", "previous.safetensors is intact"]);
    }
    place.write("run/last.safetensors", place.read("run/previous.safetensors"));
    place.ok("train --resume run --quiet");
    assert!(place.read("run/last.safetensors") == good);
}
