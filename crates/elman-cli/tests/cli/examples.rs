//! The tables in `examples/`, learnt, measured and asked by the commands of the documentation.

use std::path::Path;

use crate::place::{Place, with_input};
use serde_json::Value;

/// A place with the tables in it.
fn place() -> Place {
    let place = Place::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    for name in ["plants.csv", "plants.test.csv", "machine.csv", "machine.test.csv"] {
        place.write(name, std::fs::read(folder.join(name)).unwrap());
    }
    place
}

fn measured(place: &Place, words: &str) -> Value {
    serde_json::from_str(&place.ok(&format!("eval {words} --json")).stdout).unwrap()
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rows_of_numbers_and_words_with_gaps_are_classified() {
    let place = place();
    place.ok("train plants.csv --task classify --label-column thrives --out run --seed 1 --quiet --threads 1");
    let found = measured(&place, "run/best.safetensors plants.test.csv --curves curves.csv");
    assert!(found["accuracy"].as_f64().unwrap() > 0.85 && found["roc_auc"].as_f64().unwrap() > 0.92, "{found}");

    // The curves hold the area that was measured, and the counts of the matrix at the threshold of one half.
    let curves = String::from_utf8(place.read("curves.csv")).unwrap();
    let mut rows = curves.lines();
    let head = "positive_class,threshold,true_positives,false_positives,false_positive_rate,recall,precision";
    assert_eq!(rows.next(), Some(head));
    let points: Vec<Vec<f64>> = rows
        .map(|row| row.strip_prefix("yes,").unwrap().split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect();
    assert_eq!(points[0], [f64::INFINITY, 0.0, 0.0, 0.0, 0.0, 1.0]);
    let area: f64 = points.windows(2).map(|p| (p[1][3] - p[0][3]) * (p[0][4] + p[1][4]) / 2.0).sum();
    assert!((area - found["roc_auc"].as_f64().unwrap()).abs() < 1e-12, "{area} {found}");
    let precision: f64 = points.windows(2).map(|p| (p[1][4] - p[0][4]) * p[1][5]).sum();
    assert!((precision - found["average_precision"].as_f64().unwrap()).abs() < 1e-12, "{precision} {found}");
    let half = points.iter().rfind(|point| point[0] >= 0.5).unwrap();
    let counts = &found["confusion"]["confusion"];
    assert_eq!((half[1], half[2]), (counts[1][1].as_f64().unwrap(), counts[0][1].as_f64().unwrap()), "{found}");

    let asked = "site,soil,light_hours,rain_mm,age_years,height_cm\nslope,loam,9,600,4,45\nridge,?,2.5,300,4,12\n";
    let run = with_input(&place, "predict run/best.safetensors - --json", asked.as_bytes());
    let labels: Vec<Value> = lines(&run.stdout).into_iter().map(|line| line["label"].clone()).collect();
    assert_eq!(labels, ["yes", "no"], "{run:?}");

    let text = place.ok("inspect run/best.safetensors").stdout;
    for part in [
        "2: no, yes",
        "site: an input for each of 3: ",
        "light_hours: (value - ",
        "; with a missing-value indicator",
        "dense0.weight",
        "parameters",
    ] {
        assert!(text.contains(part), "`{part}` is not in {text}");
    }
    place.run("inspect run/best.safetensors --neurons site").fails(2, &["--neurons", "classify"]);
}

#[test]
fn rows_are_regressed_and_curves_refused_where_there_are_no_two_classes() {
    let place = place();
    place.ok("train plants.csv --task regress --label-column height_cm --out run --seed 1 --quiet --threads 1");
    let found = measured(&place, "run/best.safetensors plants.test.csv");
    assert!(found["r2"].as_f64().unwrap() > 0.8, "{found}");
    let asked = lines(&place.ok("predict run/best.safetensors plants.test.csv --json").stdout);
    assert!(asked.len() == 100 && asked.iter().all(|line| line["value"].is_number()));
    place.run("eval run/best.safetensors plants.test.csv --curves c.csv").fails(2, &["--curves c.csv", "no classes"]);
    let text = place.ok("inspect run/best.safetensors").stdout;
    assert!(text.contains("predicts   a number: output * "), "{text}");
}

#[test]
fn series_of_several_sensors_are_classified() {
    let place = place();
    let words = "--task classify-sequence --sequence-column run --label-column fault";
    place.ok(&format!("train machine.csv {words} --out run --epochs 60 --batch 16 --seed 1 --quiet --threads 1"));
    let found = measured(&place, "run/best.safetensors machine.test.csv");
    assert!(found["accuracy"].as_f64().unwrap() > 0.85, "{found}");
    let asked = lines(&place.ok("predict run/best.safetensors machine.test.csv --json").stdout);
    assert_eq!((asked.len(), &asked[0]["input"]), (30, &Value::from("r91")));
    place.run("eval run/best.safetensors machine.test.csv --curves c.csv").fails(2, &["--curves c.csv", "3 classes"]);
    let text = place.ok("inspect run/best.safetensors").stdout;
    assert!(text.contains("3: bearing, belt, none") && text.contains("vibration_mm_s: (value - "), "{text}");
}
