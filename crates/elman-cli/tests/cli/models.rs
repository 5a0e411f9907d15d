//! `elman sample`, `eval` and `inspect` on a trained model.

use std::io::Write;
use std::process::Stdio;

use crate::place::{Place, Run, TINY};
use serde_json::Value;

#[test]
fn a_sample_begins_with_the_prompt_has_the_length_and_repeats_with_the_seed() {
    let place = Place::new();
    place.train("run", "--quiet");
    let words = "sample run/best.safetensors --prompt The --length 50 --temperature 0.8 --seed 1";
    let text = place.ok(words).stdout;
    assert!(text.starts_with("The"), "{text}");

    assert_eq!(text.chars().count(), 3 + 50 + 1);
    assert_eq!(text, place.ok(words).stdout);
    assert_ne!(text, place.ok(&words.replace("--seed 1", "--seed 2")).stdout);
    // A checkpoint runs as well.
    place.ok("sample run/last.safetensors --length 5 --temperature 0");
    place.write("prompt.txt", "The quick\nfox");
    let text = place.ok("sample run/best.safetensors --prompt-file prompt.txt --length 3 --seed 1").stdout;
    assert!(text.starts_with("The quick\nfox"), "{text}");
    let search = |more: &str| place.ok(&format!("sample run/best.safetensors --prompt The --length 20 {more}")).stdout;
    assert_eq!(search("--beam 1"), search("--temperature 0"));
    assert_eq!(search("--beam 4 --no-repeat-ngram 3").chars().count(), 3 + 20 + 1);
}

#[test]
fn without_a_model_the_latest_run_is_sampled() {
    let place = Place::new();
    place.run("sample").fails(2, &["there is no run here", "elman train"]);
    place.ok(&format!("train book.txt {} --quiet", TINY));
    // Runs of other tasks are passed over, and a run's folder stands for its best model.
    place.ok("train --task classify-sequence --max-steps 2 --hidden 4 --quiet");
    let text = place.ok("sample --length 10 --seed 1").stdout;
    assert_eq!(text.chars().count(), 11);
    assert_eq!(text, place.ok("sample runs/book-1 --length 10 --seed 1").stdout);
}

#[test]
fn interactive_answers_each_line() {
    let place = Place::new();
    place.train("run", "--quiet");
    let mut command = place.command("sample run/best.safetensors -i --length 10 --seed 1");
    let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    child.stdin.take().unwrap().write_all("The fox\n\nÜ\n".as_bytes()).unwrap();
    let run = Run::of("-i", child.wait_with_output().unwrap());
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(run.stdout.chars().count(), 2 * 11, "{run:?}");
    assert!(run.stderr.contains("'Ü'"), "{run:?}");
}

#[test]
fn eval_prints_one_object_with_exactly_these_keys() {
    let place = Place::new();
    place.train("run", "--quiet --max-steps 80 --lr 0.02");
    let line = place.ok("eval run/best.safetensors book.txt --from 0.9 --json --dynamic").stdout;
    let object: Value = serde_json::from_str(&line).unwrap();
    let keys: Vec<&String> = object.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["dynamic_nats", "streaming_nats", "symbols", "windowed_nats"]);
    // What training measured is what eval measures.
    let metrics = String::from_utf8(place.read("run/metrics.jsonl")).unwrap();
    let val = |line: &str| serde_json::from_str::<Value>(line).unwrap()["val"]["val_nats"].as_f64();
    let best = metrics.lines().filter_map(val).fold(f64::MAX, f64::min);
    assert!((object["windowed_nats"].as_f64().unwrap() - best).abs() < 1e-12);
    let (streaming, dynamic) = (object["streaming_nats"].as_f64().unwrap(), object["dynamic_nats"].as_f64().unwrap());
    assert!(dynamic < streaming && streaming < 3.0, "{line}");
    let line = place.ok("eval run/best.safetensors book.txt --json").stdout;
    assert!(serde_json::from_str::<Value>(&line).unwrap()["dynamic_nats"].is_null());
    let text = place.ok("eval run/best.safetensors book.txt").stdout;
    assert!(text.contains("windowed") && text.contains("streaming") && text.contains("bits"), "{text}");
}

#[test]
fn inspect_shows_sizes_tensors_and_neurons() {
    let place = Place::new();
    place.train("run", "--quiet");
    let text = place.ok("inspect run/best.safetensors").stdout;
    for part in ["language-model", "hidden 8", "rnn.weight_hh_l0", "24 x 8", "parameters"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    assert!(place.ok("inspect run/last.safetensors").stdout.contains("checkpoint"));
    let json: Value = serde_json::from_str(&place.ok("inspect run/best.safetensors --json").stdout).unwrap();
    assert_eq!(json["tensors"]["rnn.weight_hh_l0"], serde_json::json!([24, 8]));
    let text = place.ok("inspect run/best.safetensors --neurons book.txt --html neurons.html").stdout;
    assert!(text.contains("position in the line"), "{text}");
    let page = String::from_utf8(place.read("neurons.html")).unwrap();
    for part in ["<select", "id=\"neuron\"", "next-letter guesses", "prefers-color-scheme:dark", "position in the line"]
    {
        assert!(page.contains(part), "{part}");
    }
    // Light, whatever the text, and it cannot end the script that it stands in.
    let long = "</script>The quick fox\n".repeat(3000);
    place.write("long.txt", &long);
    place.ok("train long.txt --hidden 256 --max-steps 2 --out long --quiet --sample-length 0");
    place.ok("inspect long --neurons long.txt --html long.html");
    let page = String::from_utf8(place.read("long.html")).unwrap();
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert_eq!(page.matches("</script>").count(), 2);
}
