//! A run that diverges goes back, more slowly, and gives up with advice.

use crate::place::Place;
use serde_json::Value;

#[test]
fn a_learning_rate_a_million_times_too_high_is_noticed_and_given_up_with_advice() {
    let place = Place::new();
    for (n, more) in ["", "--checkpoint-every 1", "--optimizer sgd --clip-norm 0", "--val-every 1", "--average 0.9"]
        .into_iter()
        .enumerate()
    {
        let run = format!("run{n}");
        let words = format!(
            "train book.txt --out {run} --hidden 8 --batch 4 --seq-len 16 --seed 1 --max-steps 300 --warmup 0 --lr 2000 \
             --json {more}"
        );
        let run_of = place.run(&words);
        run_of.fails(5, &["diverged 4 times", "--lr", "--clip-norm"]);
        let events: Vec<Value> = run_of.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let back: Vec<f64> =
            events.iter().filter(|e| e["event"] == "rolled-back").map(|e| e["lr_scale"].as_f64().unwrap()).collect();
        assert_eq!(back, [0.5, 0.25, 0.125], "{more}");
        // What is on the disk is finite: it loads.
        for name in ["last", "previous"] {
            place.ok(&format!("inspect {run}/{name}.safetensors"));
        }
        place.run(&format!("train --resume {run} --quiet")).fails(5, &["diverged"]);
    }
}
