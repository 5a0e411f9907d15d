//! `elman predict MODEL -`: answers to a stream have the bits of the answers to whole sequences, many side by side.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::place::{Place, Run, with_input};
use elman::data::frames::{LabelledClip, LabelledClips, Options};
use serde_json::Value;

/// Label and probability of each step, the latter with all its bits.
fn answers(run: &Run) -> Vec<(String, u64)> {
    let answer = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {run:?}"));
        (line["label"].as_str().unwrap().to_string(), line["probability"].as_f64().unwrap().to_bits())
    };
    run.stdout.lines().map(answer).collect()
}

/// What `elman eval` found: the accuracy and the matrix of true and answered classes.
fn evaluated(place: &Place, words: &str) -> (f64, Value) {
    let found: Value = serde_json::from_str(&place.ok(&format!("eval {words} --json")).stdout).unwrap();
    (found["accuracy"].as_f64().unwrap(), found["confusion"]["confusion"].clone())
}

/// The same counted from labels.
fn counted(classes: &[String], truths: &[String], answers: &[String]) -> (f64, Value) {
    let class = |label: &String| classes.iter().position(|class| class == label).unwrap();
    let mut counts = vec![vec![0; classes.len()]; classes.len()];
    assert_eq!(truths.len(), answers.len());
    truths.iter().zip(answers).for_each(|(truth, answer)| counts[class(truth)][class(answer)] += 1);
    let right: i32 = (0..classes.len()).map(|k| counts[k][k]).sum();
    (f64::from(right) / truths.len() as f64, serde_json::json!(counts))
}

#[test]
fn rows_that_come_one_by_one_are_answered_as_all_sequences_side_by_side() {
    let place = Place::new();
    // Forty sequences of 3 to 24 steps.
    let (mut table, mut sequences, mut truths) = (String::from("who,x,kind,label\n"), Vec::new(), Vec::new());
    for id in 0..40usize {
        let mut rows = String::new();
        for t in 0..3 + id * 5 % 22 {
            let x = (id * 31 + t * t * 7) % 17;
            let label = ["low", "mid", "high"][x / 6].to_string();
            writeln!(rows, "s{id},{x},{},{label}", ["u", "v", "?"][(id + t) % 3]).unwrap();
            truths.push(label);
        }
        table.push_str(&rows);
        sequences.push(rows);
    }
    place.write("t.csv", &table);
    let words = "train t.csv --task classify-frames --sequence-column who --hidden 24 --max-steps 12 --seed 1 --quiet";
    for (name, more) in [("causal", ""), ("late", "--lookahead 3"), ("calibrated", "--cell lstm --calibrate")] {
        place.ok(&format!("{words} --out {name} {more}"));
        let model = format!("{name}/best.safetensors");
        let whole = answers(&place.ok(&format!("predict {model} t.csv --frames --json")));
        let live: Vec<(String, u64)> = sequences
            .iter()
            .flat_map(|rows| answers(&with_input(&place, &format!("predict {model} - --json"), rows.as_bytes())))
            .collect();
        assert_eq!(live, whole, "{name}");
        let labels: Vec<String> = live.into_iter().map(|(label, _)| label).collect();
        let classes = ["high", "low", "mid"].map(String::from);
        let evaluated = evaluated(&place, &format!("{model} t.csv"));
        assert_eq!(counted(&classes, &truths, &labels), evaluated, "{name}");
    }
}

/// The folder of the mouth clips; nothing, said aloud, where it is absent.
fn grid() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("ELMAN_DATA").map_or_else(beside, PathBuf::from).join("grid_lip");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is absent; set ELMAN_DATA to test on real data", folder.display());
        return None;
    }
    Some(folder)
}

fn y4m(clip: &LabelledClip) -> Vec<u8> {
    let clip = &clip.clip;
    let mut bytes = format!("YUV4MPEG2 W{} H{} F25:1 Cmono XCOLORRANGE=FULL\n", clip.width, clip.height).into_bytes();
    for t in 0..clip.frames {
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend_from_slice(clip.frame(t));
    }
    bytes
}

#[test]
fn mouth_clips_that_come_frame_by_frame_are_answered_as_they_are_evaluated() {
    let Some(folder) = grid() else { return };
    let place = Place::new();
    let all = LabelledClips::read(&folder, &Options::default()).unwrap();
    // Of both lengths that there are, so that those of a batch end at different frames.
    let mut clips: Vec<LabelledClip> = all.clips.iter().filter(|clip| clip.clip.frames == 74).cloned().collect();
    clips.extend(all.clips.iter().filter(|clip| clip.clip.frames == 75).take(35).cloned());
    let mut labels = String::from("id\tsplit\tlabels\n");
    std::fs::create_dir(place.path("clips")).unwrap();
    for (i, clip) in clips.iter().enumerate() {
        place.write(&format!("clips/{}.y4m", clip.clip.id), y4m(clip));
        let names: Vec<&str> = clip.labels.iter().map(|&label| all.classes[label].as_str()).collect();
        let split = if i < 8 { "dev" } else { "train" };
        writeln!(labels, "{}\t{split}\t{}", clip.clip.id, names.join(" ")).unwrap();
    }
    place.write("clips/labels.tsv", labels);
    place.write("clips/vocab.txt", all.classes.join("\n"));
    let words = "train clips --task classify-frames --hidden 48 --dense 64 --max-steps 12 --seed 1 --quiet";
    for (name, more) in [("causal", ""), ("late", "--lookahead 4 --differences")] {
        place.ok(&format!("{words} --out {name} {more}"));
        let model = format!("{name}/best.safetensors");
        let (mut truths, mut labels) = (Vec::new(), Vec::new());
        for (i, clip) in clips.iter().enumerate() {
            let live = with_input(&place, &format!("predict {model} - --json"), &y4m(clip));
            let found = answers(&live);
            if i % 5 == 0 {
                let file = format!("clips/{}.y4m", clip.clip.id);
                let whole = answers(&place.ok(&format!("predict {model} {file} --frames --json")));
                assert_eq!(found, whole, "{name} {file}");
                let raw = with_input(&place, &format!("predict {model} - --raw --json"), &clip.clip.pixels);
                assert_eq!(raw.stdout, live.stdout, "{name} {file}");
            }
            truths.extend(clip.labels.iter().map(|&label| all.classes[label].clone()));
            labels.extend(found.into_iter().map(|(label, _)| label));
        }
        let evaluated = evaluated(&place, &format!("{model} clips --split all"));
        assert_eq!(counted(&all.classes, &truths, &labels), evaluated, "{name}");
    }
}
