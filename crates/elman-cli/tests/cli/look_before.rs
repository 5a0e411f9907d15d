//! `elman check-data` and `elman doctor`.

use crate::place::Place;
use serde_json::Value;

#[test]
fn a_text_is_described_with_what_is_wrong_in_it() {
    let place = Place::new();
    let text = place.ok("check-data book.txt --hidden 16").stdout;
    for part in ["lines            150", "vocabulary", "most frequent", "validation", "updates an epoch", "gru 1x16"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    place.write("odd.txt", format!("\u{feff}{}\u{1}", "same line again and again\r\n\r\n".repeat(80)));
    let facts: Value = serde_json::from_str(&place.ok("check-data odd.txt --json").stdout).unwrap();
    assert_eq!(facts["bom"], true);
    assert_eq!(
        (&facts["lines"], &facts["crlf_lines"], &facts["control_characters"]),
        (&161.into(), &160.into(), &1.into())
    );
    assert_eq!((&facts["empty_lines"], &facts["duplicate_lines"]), (&80.into(), &78.into()));
    assert!(facts["overlap"].as_f64().unwrap() > 0.8);
    assert!(facts["warnings"].as_array().unwrap().len() >= 4, "{facts}");
}

#[test]
fn a_text_that_cannot_be_learnt_from_is_refused_as_by_training() {
    let place = Place::new();
    place.write("empty.txt", "");
    // Without a file it is the text that training would take.
    let text = place.ok("check-data").stdout;
    assert!(
        text.contains("built-in data") && text.contains("gru 1x192") && text.contains("no problems found"),
        "{text}"
    );
    place.run("check-data empty.txt").fails(3, &["empty.txt", "empty"]);
    place.run("check-data absent.txt").fails(3, &["absent.txt"]);
    place.run("check-data book.txt --hidden 0").fails(2, &["--hidden 0"]);
}

#[test]
fn the_doctor_names_instruction_set_threads_and_peak() {
    let place = Place::new();
    let text = place.ok("doctor").stdout;
    for part in ["instruction set", "threads", "GFLOP/s", "memory", "can be written"] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    let facts: Value = serde_json::from_str(&place.ok("doctor --json").stdout).unwrap();
    assert!(facts["peak_gflops_one_thread"].as_f64().unwrap() > 0.1 && facts["folder_writable"] == true, "{facts}");
}

#[test]
fn the_examples_of_other_tasks_are_counted() {
    let place = Place::new();
    let rows = ["good\tyes", "good\tyes", "good\tno", "bad\tno", "worse\tno", "fine film\tyes"];
    place.write("train.tsv", rows.join("\n"));
    place.write("val.tsv", "good\tyes\nnew\tyes\n");
    let words = "check-data train.tsv --task classify-text --val val.tsv --vocab-min 1";
    let text = place.ok(words).stdout;
    assert!(text.contains("no: 3 (50.0 %), 0 in validation"), "{text}");
    assert!(text.contains("! no validation example of \"no\""), "{text}");
    assert!(text.contains("! training examples that occur before with another label: 1;"), "{text}");
    let facts: Value = serde_json::from_str(&place.ok(&format!("{words} --json")).stdout).unwrap();
    assert_eq!(facts["survey"]["repeated"], 2);
    assert_eq!(facts["survey"]["contradictory"], 1);
    assert_eq!(facts["survey"]["overlap"], 1);
    assert_eq!(facts["survey"]["steps"], serde_json::json!([1, 1, 1, 2]));
    place.ok("check-data --task classify-sequence");
    place.ok("check-data --task classify-frames");
    place.ok("check-data --task classify");
}
