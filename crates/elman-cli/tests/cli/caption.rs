//! Captions through the command: from a matrix of features, from photographs by an encoder; attention drawn; wrong input.

use std::fs;

use crate::place::{Place, Run};
use serde_json::Value;

const SMALL: &str = "--task caption --seed 1 --quiet --threads 1 --hidden 16 --embedding 8 --batch 8 --lr 0.02 \
                     --vocab-min 1 --warmup 5 --dropout 0 --feature-dropout 0 --average 0 --label-smoothing 0 \
                     --scheduled-sampling 0";
const LIGHTS: [(&str, u8); 2] = [("dark", 10), ("bright", 230)];

fn json(run: &Run) -> Vec<Value> {
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// A matrix `[rows, places, 2]` whose rows are dark or bright, and a caption for each.
fn matrix(place: &Place, name: &str, rows: usize, places: usize) {
    let dims = if places == 1 { format!("({rows}, 2)") } else { format!("({rows}, {places}, 2)") };
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {dims}, }}");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for row in 0..rows {
        for _ in 0..places {
            let bright = (row % 2) as f32;
            bytes.extend([bright, 1.0 - bright].iter().flat_map(|x| x.to_le_bytes()));
        }
    }
    place.write(name, bytes);
}

fn captions(rows: usize) -> String {
    let one = |row: usize| {
        let split = ["train", "dev", "test"][usize::from(row + 16 >= rows) + usize::from(row + 8 >= rows)];
        format!("{row}\t{split}\ta {} wall of old stone.\n", LIGHTS[row % 2].0)
    };
    (0..rows).map(one).collect()
}

#[cfg(feature = "encoder")]
/// Photographs, a table of their captions, and the encoders of the reference tests.
fn photographs(place: &Place) {
    fs::create_dir(place.path("photos")).unwrap();
    let mut table = String::from("image\tsplit\tcaption\n");
    for i in 0..40u8 {
        let (word, light) = LIGHTS[usize::from(i % 2)];
        let mut bytes = b"P6 12 9 255\n".to_vec();
        bytes.extend((0..12 * 9 * 3).map(|at| light + (at * 7 + u16::from(i) * 5).to_le_bytes()[0] % 20));
        place.write(&format!("photos/{i}.ppm"), bytes);
        let split = ["train", "dev", "test"][usize::from(i >= 24) + usize::from(i >= 32)];
        table.push_str(&format!("{i}.ppm\t{split}\ta {word} wall of old stone.\n"));
    }
    place.write("captions.tsv", table);
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/reference/encoder");
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        place.write(entry.file_name().to_str().unwrap(), fs::read(entry.path()).unwrap());
    }
}

#[test]
fn captions_are_learnt_from_a_matrix_measured_and_written() {
    let place = Place::new();
    matrix(&place, "features.npy", 48, 1);
    matrix(&place, "map.npy", 48, 4);
    matrix(&place, "wide.npy", 2, 2);
    place.write("captions.tsv", captions(48));
    for (features, out, more) in [("features.npy", "vector", ""), ("map.npy", "map", "--precision bf16")] {
        place
            .ok(&format!("train {SMALL} {more} --features {features} --captions captions.tsv --out {out} --epochs 40"));
        let report = String::from_utf8(place.read(&format!("{out}/report.html"))).unwrap();
        assert!(report.contains("the caption of the most similar image"));
        let model = format!("{out}/best.safetensors");
        let found = &json(&place.ok(&format!("eval {model} --features {features} --captions captions.tsv --json")))[0];
        for key in ["bleu1", "bleu2", "bleu3", "bleu4", "loss_nats", "rows", "length", "beam", "length_penalty"] {
            assert!(found[key].is_number(), "{key}: {found}");
        }
        assert!(found["bleu4"].as_f64().unwrap() > 99.0 && found["rows"] == 8, "{found}");
        let run = place.ok(&format!("predict {model} {features}"));
        assert_eq!(
            run.stdout.lines().take(2).collect::<Vec<_>>(),
            ["a dark wall of old stone.", "a bright wall of old stone."]
        );
        let found = &json(&place.ok(&format!("predict {model} {features} --json --nbest 2 --beam 3")))[1];
        assert_eq!(
            (&found["input"], &found["text"]),
            (&format!("{features}:1").into(), &"a bright wall of old stone.".into())
        );
        assert_eq!(found["nbest"].as_array().unwrap().len(), 2);
    }
    place.ok(&format!(
        "train {SMALL} --features map.npy --captions captions.tsv --out other --max-steps 20 --cell gru --conditional"
    ));
    let words = "eval map/best.safetensors --features map.npy --captions captions.tsv --json";
    let together = &json(&place.ok(&format!("{words} --ensemble other/best.safetensors")))[0];
    assert!(together["models"] == 2 && together["loss_nats"].is_number(), "{together}");
    place.ok("predict map/best.safetensors map.npy --attention looks.html");
    let page = fs::read_to_string(place.path("looks.html")).unwrap();
    assert_eq!(
        (page.matches("<h2>").count(), page.matches("repeat(2,1fr)").count()),
        (48, 7 * 48),
        "words and their grids"
    );
    let run = place.run("predict vector/best.safetensors features.npy --attention a.html");
    run.fails(2, &["--attention", "one vector", "--encoder-output"]);
    place.run("predict vector/best.safetensors wide.npy").fails(3, &["wide.npy", "[2, 2]", "1 of 2 values"]);
    let run = place.run("predict vector/best.safetensors features.npy --encoder x.onnx");
    run.fails(2, &["--encoder x.onnx", "is for images"]);
    let run =
        place.run(&format!("train {SMALL} --features features.npy --captions captions.tsv --out no --conditional"));
    run.fails(2, &["conditional", "has --attention"]);
    place.write("beyond.tsv", "0\ttrain\ta wall\n48\ttrain\ta wall\n");
    let run = place.run(&format!("train {SMALL} --features features.npy --captions beyond.tsv --out no"));
    run.fails(3, &["beyond.tsv", "line 2", "no row 48"]);
}

#[test]
#[cfg(feature = "encoder")]
fn photographs_are_learnt_from_and_described_by_their_encoder_alone() {
    let place = Place::new();
    photographs(&place);
    let data = "--images photos --captions captions.tsv --encoder tiny.onnx";
    let words = SMALL.replace("--quiet", "");
    let run = place.ok(&format!("train {words} {data} --encoder-output map --out run --epochs 30"));
    assert!(run.stderr.contains("32 images: features of 32 computed by tiny.onnx, of 0 kept"), "{run:?}");
    let cache = fs::read_dir(place.path("photos")).unwrap().map(|entry| entry.unwrap().path());
    let cache = cache.into_iter().find(|path| path.extension().is_some_and(|e| e == "safetensors")).unwrap();
    fs::write(&cache, b"no features").unwrap();
    let again = place.ok(&format!("train {words} {data} --encoder-output map --out again --epochs 30"));
    assert!(again.stderr.contains("was damaged and was replaced"), "{again:?}");
    let model = |run: &str| fs::read(place.path(&format!("{run}/best.safetensors"))).unwrap();
    assert_eq!(model("run"), model("again"), "kept features and fresh ones are the same");

    let found = json(&place.ok(&format!("eval run/best.safetensors {data} --json")));
    assert!(found[0]["bleu4"].as_f64().unwrap() > 99.0 && found[0]["rows"] == 8, "{found:?}");
    let predict = "predict run/best.safetensors photos/38.ppm photos/39.ppm";
    let run = place.ok(&format!("{predict} --encoder tiny.onnx --attention looks"));
    assert_eq!(run.stdout, "a dark wall of old stone.\na bright wall of old stone.\n");
    assert!(fs::read_to_string(place.path("looks/index.html")).unwrap().contains("data:image/jpeg;base64,"));
    let png = fs::read(place.path("looks/002-02-bright.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"), "a picture for each word");
    let found = json(&place.ok(&format!("{predict} --encoder tiny.onnx --json")));
    assert_eq!(
        (&found[1]["input"], &found[1]["text"]),
        (&"photos/39.ppm".into(), &"a bright wall of old stone.".into())
    );

    place.run(predict).fails(2, &["photos/38.ppm", "--encoder", "tiny.onnx"]);
    let other = place.run(&format!("{predict} --encoder other.onnx"));
    other.fails(3, &["other.onnx", "but the model was trained with tiny.onnx"]);
    place.write("cut.ppm", b"P6 12 9 255\nabc");
    let run = place.run("predict run/best.safetensors cut.ppm --encoder tiny.onnx");
    run.fails(3, &["cut.ppm", "cut short"]);
    let run = place.run("predict run/best.safetensors captions.tsv --encoder tiny.onnx");
    run.fails(3, &["captions.tsv", "not an image"]);
}

#[test]
#[cfg(feature = "encoder")]
fn what_is_no_encoder_and_what_does_not_fit_together_is_refused() {
    let place = Place::new();
    photographs(&place);
    let data = "--images photos --captions captions.tsv";
    let train = |more: &str| place.run(&format!("train {SMALL} {more} --out no"));
    train(&format!("{data} --encoder captions.tsv")).fails(3, &["captions.tsv", "not an ONNX file"]);
    train(&format!("{data} --encoder bytes.onnx")).fails(3, &["bytes.onnx", "f32 [1, 3, height, width] is needed"]);
    train(&format!("{data} --encoder flat.onnx")).fails(3, &["flat.onnx", "[?, 192]"]);
    train(&format!("{data} --encoder tiny.onnx --encoder-output top")).fails(3, &["named top", "it has pooled"]);
    // A length in it that is another takes the library by surprise, not the user.
    let mut damaged = place.read("tiny.onnx");
    damaged[54] ^= 0x41;
    place.write("damaged.onnx", damaged);
    train(&format!("{data} --encoder damaged.onnx")).fails(3, &["damaged.onnx", "contradicts itself"]);
    train(data).fails(2, &["--images", "--encoder"]);
    train("--captions captions.tsv --features a.npy --images photos").fails(2, &["ready features"]);
    for half in ["--captions captions.tsv", "--encoder-output map"] {
        train(half).fails(2, &["--captions", "--features", "--images"]);
    }
    fs::remove_file(place.path("photos/5.ppm")).unwrap();
    train(&format!("{data} --encoder tiny.onnx")).fails(3, &["5.ppm"]);
    place.write("text.txt", "a text of some length, long enough to train on. ".repeat(40));
    place.run("train text.txt --encoder tiny.onnx --out no").fails(2, &["--encoder", "only caption reads it"]);
    // Features whose encoder is not known: the output that fits is taken, and one that gives another width is refused.
    matrix(&place, "features.npy", 48, 1);
    place.write("rows.tsv", captions(48));
    place.ok(&format!("train {SMALL} --features features.npy --captions rows.tsv --out run --max-steps 3"));
    let run = place.run("predict run/best.safetensors photos/1.ppm --encoder tiny.onnx");
    run.fails(3, &["tiny.onnx", "1 x 2 values, as the model reads", "pooled, a vector of 4"]);
}

#[test]
#[cfg(not(feature = "encoder"))]
fn a_program_without_encoders_says_so() {
    let place = Place::new();
    place.write("captions.tsv", "0.ppm\ta wall\n1.ppm\ta wall\n");
    place.write("x.onnx", "");
    let run = place.run(&format!("train {SMALL} --images . --captions captions.tsv --encoder x.onnx --val-frac 0.5"));
    run.fails(2, &["without encoders", "`--features encoder`"]);
}
